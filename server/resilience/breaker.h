// A circuit breaker for one endpoint.
//
//   CLOSED -> OPEN       after `threshold` failures in a row, or when at least failure_ratio of at
//                        least ratio_min_calls calls within ratio_window failed
//   OPEN -> HALF_OPEN    after `timeout`, doubled with every reopening up to ten times, jittered by
//                        up to 10 % so that replicas do not probe together
//   HALF_OPEN            admits one probe at a time; closes after successes_to_close, reopens on
//   one
//                        failure; a probe that does not report within `timeout` counts as failed
//
// Each change of state starts a generation; a result that belongs to an earlier one is ignored.
// Thread-safe. A check while closed is one atomic load.
#ifndef MFN_SERVER_RESILIENCE_BREAKER_H_
#define MFN_SERVER_RESILIENCE_BREAKER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/mutex.h"
#include "server/resilience/outcome.h"

namespace mfn::resilience {

class Breaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };
  // Proof of admission, to be reported once.
  struct Permit {
    uint64_t generation;
  };

  // Clock and random are borrowed and outlive it.
  Breaker(const BreakerConfig& config, Clock* clock, RandomSource* random);

  // Whether Acquire would succeed now; changes nothing.
  bool Peek() const;
  std::optional<Permit> Acquire();
  void Report(Permit permit, BreakerSignal signal);

  State state() const { return state_.load(std::memory_order_acquire); }
  uint64_t times_opened() const { return times_opened_.load(std::memory_order_relaxed); }
  // How long until a probe may be made; zero when one may be made now.
  absl::Duration TimeUntilProbe() const;

 private:
  static constexpr int kBuckets = 10;
  struct Bucket {
    int64_t slot = -1;  // which tenth of the window, counted from the clock's origin
    int calls = 0;
    int failures = 0;
  };

  bool MayProbe(int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Count(int64_t now, bool failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RatioExceeded(int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Open(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BreakerConfig config_;
  Clock* const clock_;
  RandomSource* const random_;
  const int64_t bucket_nanos_;
  std::atomic<State> state_{State::kClosed};
  std::atomic<uint64_t> times_opened_{0};

  mutable Mutex mutex_;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  int consecutive_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<Bucket, kBuckets> buckets_ ABSL_GUARDED_BY(mutex_);
  int reopenings_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t probe_at_ ABSL_GUARDED_BY(mutex_) = 0;  // when OPEN ends, monotonic nanoseconds
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t probe_expires_ ABSL_GUARDED_BY(mutex_) = 0;
  int probe_successes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_BREAKER_H_
