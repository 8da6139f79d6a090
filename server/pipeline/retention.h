// Removes dead letters that are too old or too much, in the background. Age goes by an AgeingClock,
// so that setting the wall clock removes none too early.
#ifndef MFN_SERVER_PIPELINE_RETENTION_H_
#define MFN_SERVER_PIPELINE_RETENTION_H_

#include <functional>
#include <optional>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/pipeline/ageing_clock.h"
#include "server/store/dead_letter_store.h"

namespace mfn::pipeline {

class RetentionSweeper {
 public:
  struct Options {
    store::DeadLetterStore* store;  // not owned
    DeadLetterConfig config;
    Clock* clock = Clock::Real();
    absl::Duration period = absl::Minutes(1);
    bool stepped = false;  // no thread: Sweep does the work
    // Called for each letter that is gone, on the sweeping thread.
    std::function<void(const store::ExpiredDeadLetter&)> expired;
  };

  // Sweeps at once and then every period; without bounds it has no thread.
  explicit RetentionSweeper(Options options);
  ~RetentionSweeper();

  // One sweep on the caller's thread; how many letters went. Only when stepped, by one thread.
  absl::StatusOr<int> Sweep();

 private:
  void Run();

  const Options options_;
  std::optional<AgeingClock> age_;  // nullopt: no letter is too old
  CancellationSource stop_;
  std::thread thread_;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_RETENTION_H_
