// Whether the server is fit for work, and if not, why: what /readyz and gRPC's health both say.
//
//   Readiness readiness({"configuration", "store"}, clock);
//   readiness.Set("configuration", absl::OkStatus());
//   readiness.Set("store", Probe(), absl::Seconds(10));   // and again before those are over
//   readiness.Checks();
//
// Asking never waits for anything. Thread-safe.
#ifndef MFN_SERVER_BASE_READINESS_H_
#define MFN_SERVER_BASE_READINESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace mfn {

struct ReadinessCheck {
  std::string name;
  bool ok = false;
  std::string message;  // why not; may also say something about a check that holds
};

class Readiness {
 public:
  // None of the checks named here holds until it is set. `clock` is not owned.
  Readiness(std::vector<std::string> names, Clock* clock);

  // `note` is shown with a check that holds.
  void Set(absl::string_view name, const absl::Status& status, absl::string_view note = "");
  // As Set, but an answer that is older than `fresh` counts as none.
  void SetFor(absl::string_view name, const absl::Status& status, absl::Duration fresh);

  std::vector<ReadinessCheck> Checks() const;  // in the order of the names
  bool Ready() const;

 private:
  struct Check {
    ReadinessCheck shown;
    int64_t until_ns = INT64_MAX;  // monotonic
  };
  void Store(absl::string_view name, const absl::Status& status, absl::string_view note,
             int64_t until_ns);

  Clock* const clock_;
  mutable Mutex mutex_;
  std::vector<Check> checks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_READINESS_H_
