// A circuit breaker: stops calling an endpoint that fails, and finds out when it is back.
//
//   CLOSED       everything passes. Opens on `threshold` consecutive failures, or when at least
//                `failure_ratio` of at least `ratio_min_calls` calls in `ratio_window` failed.
//   OPEN         nothing passes for `timeout`; each opening in a row doubles it, up to
//                `max_timeout`, and up to a tenth is added at random so that many instances do not
//                return together.
//   HALF_OPEN    one probe at a time. Closes after `successes_to_close`, opens again on one failure
//                or when a probe does not come back within `timeout` or the bound that came with
//                it.
//   PAUSED       the endpoint asked for fewer calls: nothing passes until then; as CLOSED
//   otherwise. FORCED_OPEN  by an operator: nothing passes until Reset. DISABLED     by an operator
//   or by configuration: everything passes, nothing counts.
//
// Each change starts a generation, except into and out of PAUSED; a result that belongs to an
// earlier one says nothing of the present and is ignored.
//
// Thread-safe. While CLOSED, Peek and Acquire cost one atomic load; so does recording a success
// that follows a success, beside a counter of the thread's own.
#ifndef MFN_SERVER_RESILIENCE_BREAKER_H_
#define MFN_SERVER_RESILIENCE_BREAKER_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/mutex.h"
#include "server/base/thread_shards.h"
#include "server/resilience/call_window.h"

namespace mfn::resilience {

class Breaker {
 public:
  enum class State : uint8_t { kClosed, kOpen, kHalfOpen, kPaused, kForcedOpen, kDisabled };
  // What a result means for the breaker.
  enum class Effect : uint8_t {
    kSuccess,
    kFailure,
    kNeutral,  // says nothing of the endpoint
    kTrip,     // opens at once: trying again cannot help
  };

  struct Permit {
    bool admitted = false;
    // When rejected: why, and for how long (zero when nobody knows: a probe is running, or an
    // operator keeps it open).
    State state = State::kClosed;
    absl::Duration wait = absl::ZeroDuration();
    uint64_t generation = 0;
  };

  // `random` is not owned and outlives the breaker.
  Breaker(const BreakerConfig& config, RandomSource* random);

  // Whether Acquire would admit now; takes nothing.
  Permit Peek(int64_t now_ns) {
    uint64_t generation = 0;
    return AcquireAtOnce(&generation) ? Permit{true, State::kClosed, {}, generation}
                                      : Decide(now_ns, kPeek);
  }
  // An admitted permit must come back through Record, exactly once. A probe is given up for lost
  // after `bound_ns`, or `timeout` if that is longer.
  Permit Acquire(int64_t now_ns, int64_t bound_ns = 0) {
    uint64_t generation = 0;
    return AcquireAtOnce(&generation) ? Permit{true, State::kClosed, {}, generation}
                                      : Decide(now_ns, bound_ns);
  }
  // Acquire's usual case by itself: one atomic load. False: Acquire knows more.
  bool AcquireAtOnce(uint64_t* generation) const {
    const uint64_t word = word_.load(std::memory_order_acquire);
    *generation = word >> (kStateBits + 1);
    return StateOf(word) == State::kClosed || StateOf(word) == State::kDisabled;
  }

  // The result of a call that was admitted in that generation; `slot` is the calling thread's.
  void Record(uint64_t generation, Effect effect, int64_t now_ns, int slot = ThreadSlot()) {
    const uint64_t word = word_.load(std::memory_order_acquire);
    // A success while nothing has failed lately leaves the state as it is.
    if (effect == Effect::kSuccess && word == Word(generation, State::kClosed, false)) [[likely]] {
      return window_.Add(generation, /*failed=*/false, now_ns, slot);
    }
    if (StateOf(word) == State::kDisabled) return;
    RecordSlowly(generation, effect, now_ns);
  }
  // As Record, for an endpoint that asked to be left alone for that long.
  void RecordPause(uint64_t generation, absl::Duration pause, int64_t now_ns);

  // By an operator; each ends what was before, probes and pauses included.
  void ForceOpen();
  void Disable();
  // As configured and as new.
  void Reset();

  // As of the last call: an OPEN breaker becomes HALF_OPEN when somebody asks.
  State state() const { return StateOf(word_.load(std::memory_order_acquire)); }
  uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kStateBits = 3;
  // What a closed breaker needs to know to answer without the mutex.
  static uint64_t Word(uint64_t generation, State state, bool failing) {
    return generation << (kStateBits + 1) | (failing ? 1 << kStateBits : 0) |
           static_cast<uint64_t>(state);
  }
  static State StateOf(uint64_t word) { return static_cast<State>(word & ((1 << kStateBits) - 1)); }

  static constexpr int64_t kPeek = -1;  // in place of a probe's bound
  Permit Decide(int64_t now_ns, int64_t probe_bound_ns) ABSL_LOCKS_EXCLUDED(mutex_);
  void RecordSlowly(uint64_t generation, Effect effect, int64_t now_ns) ABSL_LOCKS_EXCLUDED(mutex_);
  Permit Rejected(absl::Duration wait) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enter(State state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Open(int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OpenUntil(int64_t until_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordClosed(Effect effect, int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordProbe(Effect effect, int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BreakerConfig config_;
  RandomSource* const random_;
  CallWindow window_;

  // Read by every call and written when the state changes: on cache lines of its own.
  alignas(128) std::atomic<uint64_t> word_;

  alignas(128) mutable Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  int consecutive_ ABSL_GUARDED_BY(mutex_) = 0;   // failures
  int64_t until_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // of OPEN and PAUSED
  int openings_ ABSL_GUARDED_BY(mutex_) = 0;      // in a row, without a CLOSED between
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t probe_until_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  int probe_successes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> opened_{0};
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_BREAKER_H_
