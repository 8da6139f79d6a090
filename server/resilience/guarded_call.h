// The one way to call something that may fail: the single point where deadline, retry, breaker,
// limits and timeout are composed. Nothing else in the tree knows how to retry.
//
//   Guard guard(retry_config, breaker_config, clock, sleeper, random);   // one per endpoint
//   CallOptions options;
//   options.deadline_ns = clock->MonotonicNanos() + ...;
//   CallResult result = guard.Call(options, [&](const Attempt& attempt) {
//     return Classify(endpoint.Send(request, attempt.deadline_ns));
//   });
//
// From the outside in:
//
//   total deadline > retry > breaker peek > rate limit, admission > breaker acquire
//     > attempt timeout > the call > classify
//
// Retry is outside the breaker, and the breaker is acquired last: what is turned away locally
// never counts against the endpoint, and a half-open probe never queues.
//
// Thread-safe. A call that succeeds at once allocates nothing.
#ifndef MFN_SERVER_RESILIENCE_GUARDED_CALL_H_
#define MFN_SERVER_RESILIENCE_GUARDED_CALL_H_

#include <atomic>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/resilience/breaker.h"
#include "server/resilience/outcome.h"
#include "server/resilience/retry_policy.h"

namespace mfn::resilience {

// Who may call at the same time: entered before the breaker is acquired, left after each attempt.
class Admission {
 public:
  virtual ~Admission() = default;
  // Waits for a place until the deadline (monotonic nanoseconds) or cancellation; false: none.
  virtual bool Enter(int64_t deadline_ns, const Cancellation& cancel) = 0;
  virtual void Leave() = 0;
};

struct CallOptions {
  int64_t deadline_ns = INT64_MAX;                     // of everything, monotonic
  absl::Duration attempt_timeout = absl::Seconds(30);  // of each attempt
  bool idempotent = true;          // may be repeated when the outcome of an attempt is unknown
  bool single_attempt = false;     // no retry
  bool ignore_breaker = false;     // neither asks the breaker nor tells it: a health check
  Admission* admission = nullptr;  // not owned; null: none
  Cancellation cancel;
};

// One attempt, as the called function sees it.
struct Attempt {
  int number = 1;
  int64_t deadline_ns = INT64_MAX;        // of this attempt
  int64_t total_deadline_ns = INT64_MAX;  // of the guarded call
};

enum class Rejection : uint8_t {
  kNone,
  kBreakerOpen,  // or pausing for longer than the deadline allows
  kDeadline,     // no time was left for a first attempt
  kNotAdmitted,  // the admission had no place in time, or is closed
};

struct CallResult {
  Outcome outcome = Outcome::kOk;  // of the last attempt; without one: why there was none
  // Why no (further) attempt was made although the policy had one left.
  Rejection rejection = Rejection::kNone;
  int attempts = 0;
  absl::Duration retry_after = absl::ZeroDuration();  // sensible earliest time to try again
  bool ok() const { return outcome == Outcome::kOk; }
};

// A snapshot; no counter ever goes down.
struct CallMetrics {
  uint64_t calls = 0, attempts = 0, successes = 0, failures = 0, retries = 0;
  uint64_t rejected = 0;  // by the breaker
  int64_t attempt_nanos = 0;
};

class Guard {
 public:
  // Clock, sleeper and random are not owned and outlive the guard.
  Guard(const RetryConfig& retry, const BreakerConfig& breaker, Clock* clock, Sleeper* sleeper,
        RandomSource* random);

  // Blocks. `call` runs on this thread, at most once at a time.
  CallResult Call(const CallOptions& options,
                  absl::FunctionRef<AttemptResult(const Attempt&)> call);

  // Wakes every wait of this guard and lets no further attempt start; for shutdown.
  void Stop() { stop_.Cancel(); }
  // Fires with Stop.
  Cancellation stopped() const { return stopped_; }

  Breaker::State breaker_state() const { return breaker_.state(); }
  uint64_t breaker_opened() const { return breaker_.opened(); }
  CallMetrics metrics() const;

 private:
  using Function = absl::FunctionRef<AttemptResult(const Attempt&)>;
  CallResult Run(const CallOptions& options, Function call);
  // False: no attempt; *result says why. Waits out a pause of the endpoint.
  bool MayTry(const CallOptions& options, CallResult* result);
  bool TryOnce(const CallOptions& options, Function call, const RetryProgress& progress,
               CallResult* result, AttemptResult* attempt);
  void Tell(const Breaker::Permit& permit, const AttemptResult& attempt, bool last_auth);
  bool Reject(const Breaker::Permit& permit, CallResult* result);
  // False when cancelled meanwhile.
  bool Sleep(absl::Duration duration, const Cancellation& cancel);
  bool Cancelled(const CallOptions& options) const;

  const RetryPolicy policy_;
  const bool breaker_enabled_;
  Breaker breaker_;
  Clock* const clock_;
  Sleeper* const sleeper_;
  RandomSource* const random_;
  CancellationSource stop_;
  const Cancellation stopped_ = stop_.token();

  std::atomic<uint64_t> calls_{0}, attempts_{0}, successes_{0}, failures_{0}, retries_{0},
      rejected_{0};
  std::atomic<int64_t> attempt_nanos_{0};
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_GUARDED_CALL_H_
