// A circuit breaker: stops calling an endpoint that fails, and finds out when it is back.
//
//   CLOSED     everything passes. Opens on `threshold` consecutive failures, or when at least
//              `failure_ratio` of at least `ratio_min_calls` calls in `ratio_window` failed.
//   OPEN       nothing passes for `timeout`; each opening in a row doubles it, up to ten minutes,
//              and up to a tenth is added at random so that many instances do not return together.
//   HALF_OPEN  one probe at a time. Closes after `successes_to_close`, opens again on one failure
//              or when a probe does not come back within `timeout`.
//   PAUSED     the endpoint asked for fewer calls: nothing passes until then; as CLOSED otherwise.
//
// Each change between CLOSED, OPEN and HALF_OPEN starts a generation; a result that belongs to an
// earlier one says nothing of the present and is ignored.
//
// Thread-safe. While CLOSED, Peek and Acquire cost one atomic load.
#ifndef MFN_SERVER_RESILIENCE_BREAKER_H_
#define MFN_SERVER_RESILIENCE_BREAKER_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/mutex.h"
#include "server/resilience/failure_window.h"

namespace mfn::resilience {

class Breaker {
 public:
  enum class State : uint8_t { kClosed, kOpen, kHalfOpen, kPaused };
  // What a result means for the breaker.
  enum class Effect : uint8_t {
    kSuccess,
    kFailure,
    kNeutral,  // says nothing of the endpoint
    kTrip,     // opens at once: trying again cannot help
  };

  struct Permit {
    bool admitted = false;
    // When rejected: why, and for how long (zero when a probe is running, whose end is not known).
    State state = State::kClosed;
    absl::Duration wait = absl::ZeroDuration();
    uint64_t generation = 0;
  };

  // `random` is not owned and outlives the breaker.
  Breaker(const BreakerConfig& config, RandomSource* random);

  // Whether Acquire would admit now; takes nothing.
  Permit Peek(int64_t now_ns);
  // An admitted permit must come back through Record, exactly once.
  Permit Acquire(int64_t now_ns);
  void Record(const Permit& permit, Effect effect, int64_t now_ns);
  // As Record, for an endpoint that asked to be left alone for that long.
  void RecordPause(const Permit& permit, absl::Duration pause, int64_t now_ns);

  // As of the last call: an OPEN breaker becomes HALF_OPEN when somebody asks.
  State state() const;
  uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }

 private:
  Permit Decide(int64_t now_ns, bool take) ABSL_LOCKS_EXCLUDED(mutex_);
  Permit Admitted(State state) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enter(State state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Open(int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OpenUntil(int64_t until_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordClosed(Effect effect, int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordProbe(Effect effect, int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BreakerConfig config_;
  RandomSource* const random_;
  // generation_ << 2 | state_, so that a closed breaker answers without the mutex.
  std::atomic<uint64_t> word_{0};
  std::atomic<uint64_t> opened_{0};

  mutable Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kClosed;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  int consecutive_ ABSL_GUARDED_BY(mutex_) = 0;
  FailureWindow window_ ABSL_GUARDED_BY(mutex_);
  int64_t until_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // of OPEN and PAUSED
  int openings_ ABSL_GUARDED_BY(mutex_) = 0;      // in a row, without a CLOSED between
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t probe_until_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  int probe_successes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_BREAKER_H_
