// The reader of one run of a pipeline: reads while there is room, keeps the source alive while
// there is none, and makes the acks. One thread does all of it, because most sources cannot ack
// beside a read; so a read is short (Tuning::read_wait_busy) while acks may come, and long when
// none can. A read is cut short by Drain.
//
// The loop ends by itself when the source has ended or failed for good and everything is settled,
// or after Drain, when everything is settled or the bound has passed; what is then left is returned
// to the source (acked MFN_RETRYABLE). Thread-safe, except Run.
#ifndef MFN_SERVER_PIPELINE_SOURCE_LOOP_H_
#define MFN_SERVER_PIPELINE_SOURCE_LOOP_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/pipeline/ack_tracker.h"
#include "server/pipeline/tuning.h"
#include "server/registry/instance.h"

namespace mfn::pipeline {

// Of max_cost, where nothing is simulated.
inline constexpr uint64_t kNoBound = std::numeric_limits<uint64_t>::max();

class SourceLoop {
 public:
  struct Options {
    std::string pipeline;
    // Of what is read and not acked; max_cost in cell updates.
    uint64_t max_records = 1024, max_bytes = 64 << 20, max_cost = uint64_t{1} << 38;
    absl::Duration settle_bound = absl::Seconds(30);  // for optional sinks, after the source's end
    Clock* clock = Clock::Real();
    Tuning tuning;
    bool stepped = false;  // nothing waits
  };
  struct Hooks {                                            // called on the loop's thread
    std::function<uint64_t(registry::OwnedBatch)> deliver;  // returns its dearest record's cost
    std::function<void(const std::vector<ItemPtr>&, bool acked)> acked;
    std::function<bool()> full;                       // a publisher is behind
    std::function<void(bool)> ending;                 // nothing more will be read
    std::function<void(const std::string&)> held_up;  // why nothing is read; empty: it is again
  };
  enum class End { kSourceEnded, kSourceFailed, kDrained };
  struct Counts {
    uint64_t records_read = 0, records_acked = 0;
  };

  SourceLoop(std::shared_ptr<registry::Instance> source, AckTracker* tracker, Options options,
             Hooks hooks);

  End Run();
  // One round of Run, which waits at its end if there is nothing to do; its outcome once it is
  // over.
  std::optional<End> Step();
  const std::string& error() const { return error_; }  // after kSourceFailed

  void SetPaused(bool paused);
  void Drain(absl::Duration bound);
  // Cancels everything, also the last acks: for a drain that does not come to its end.
  void Abort();
  // There may be something to ack, or room again.
  void Wake();
  Counts counts() const;

 private:
  bool Settled();
  void MakeAcks();
  // The batch is off the books; `known`: the source has taken the ack.
  void FinishAck(const ReadyAck& ack, bool known);
  // Returns what is not settled; its acks have a deadline of their own. True: they are made.
  bool ReturnRest(int64_t now);
  bool HasRoom(const AckTracker::Span& span) const;
  void ReadOnce(const AckTracker::Span& span);
  uint64_t RecordsFor(uint64_t cost_left) const;
  void Take(registry::ReadResult result);
  void ReadFailed(const registry::Failure& failure);
  void LaneEvent(uint64_t lane, uint64_t flags);
  void ReleaseLanes();
  void Idle();

  const std::shared_ptr<registry::Instance> source_;
  AckTracker* const tracker_;
  const Options options_;
  const Hooks hooks_;
  CancellationSource stop_reading_, abort_;

  // The loop's thread only.
  bool ended_ = false, failed_ = false, told_ending_ = false;
  std::string error_, held_up_;
  absl::Duration read_pause_, ack_pause_;
  int64_t read_not_before_ = 0, ack_not_before_ = 0, kept_alive_ = 0, settled_since_ = 0;
  std::optional<int64_t> return_until_;  // the rest has been returned
  std::set<uint64_t> given_up_;          // lanes in which no more acks are made
  // The most that a record has cost lately, and how many may be read by it at once.
  uint64_t record_cost_ = 0, records_at_once_ = 1;
  std::map<uint64_t, int64_t> revoked_;  // lane -> when to give it away at the latest

  mutable Mutex mutex_;
  CondVar changed_;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<int64_t> drain_until_ ABSL_GUARDED_BY(mutex_);
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_SOURCE_LOOP_H_
