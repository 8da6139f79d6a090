// The one way to call something that may fail: the single point where deadline, retry, breaker,
// limits and timeout are composed. Nothing else in the tree knows how to retry.
//
//   Guard guard(guard_config, clock, sleeper, random);   // one per endpoint
//   CallOptions options;
//   options.deadline_ns = clock->MonotonicNanos() + ...;
//   CallResult result = guard.Call(options, [&](const Attempt& attempt) {
//     return Classify(endpoint.Send(request, attempt.deadline_ns));
//   });
//
// From the outside in:
//
//   total deadline > retry > breaker peek > rate limit > bulkhead, admission > breaker acquire
//     > attempt timeout > the call > classify
//
// Retry is outside the breaker, and the breaker is acquired last: what is turned away locally
// never counts against the endpoint, and a half-open probe never queues.
//
// Thread-safe. Once a thread has seen a guard's call succeed and fail, a call that need not wait
// allocates nothing; threads whose calls succeed share no memory that either writes.
#ifndef MFN_SERVER_RESILIENCE_GUARDED_CALL_H_
#define MFN_SERVER_RESILIENCE_GUARDED_CALL_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/base/optimization.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/histogram.h"
#include "server/base/thread_shards.h"
#include "server/resilience/breaker.h"
#include "server/resilience/bulkhead.h"
#include "server/resilience/outcome.h"
#include "server/resilience/rate_limit.h"
#include "server/resilience/retry_budget.h"
#include "server/resilience/retry_policy.h"

namespace mfn::resilience {

struct GuardConfig {
  RetryConfig retry;
  BreakerConfig breaker;
  RateLimitConfig rate_limit;    // of attempts
  int max_concurrent_calls = 0;  // attempts at the same time; 0: no bound
};

// Who may call at the same time, by rules of the caller's own: entered before the breaker is
// acquired, left after each attempt.
class Admission {
 public:
  virtual ~Admission() = default;
  // Waits for a place until the deadline (monotonic nanoseconds) or cancellation; false: none.
  virtual bool Enter(int64_t deadline_ns, const Cancellation& cancel) = 0;
  virtual void Leave() = 0;
};

struct CallOptions {
  int64_t deadline_ns = INT64_MAX;              // of everything, monotonic
  int64_t attempt_timeout_ns = 30'000'000'000;  // of each attempt
  bool idempotent = true;       // may be repeated when the outcome of an attempt is unknown
  bool single_attempt = false;  // no retry
  // Parked work that is presented again: its retries cost the budget nothing, for the breaker paces
  // it. Without this an empty budget could keep it parked.
  bool free_retries = false;
  // A health check: passes the breaker, the rate limit and the bulkhead, and tells the breaker
  // nothing.
  bool health_check = false;
  // How long a half-open probe may take before it is given up for lost; attempt_timeout_ns at
  // least.
  int64_t probe_bound_ns = 0;
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
  kForcedOpen,   // by an operator
  kDeadline,     // no time is left for it
  kRateLimited,  // the rate limit has no place in time
  kNotAdmitted,  // the bulkhead or the admission has no place in time, or is closed
  kNoBudget,     // the retry budget is spent
};

struct CallResult {
  Outcome outcome = Outcome::kOk;  // of the last attempt; without one: why there was none
  // Why no (further) attempt was made although the policy had one left.
  Rejection rejection = Rejection::kNone;
  int attempts = 0;
  absl::Duration retry_after = absl::ZeroDuration();  // sensible earliest time to try again
  bool ok() const { return outcome == Outcome::kOk; }
};

// A snapshot of what has ended; no counter ever goes down.
struct CallMetrics {
  uint64_t calls = 0, attempts = 0, successes = 0, failures = 0, retries = 0;
  uint64_t rejected = 0;           // by the breaker
  uint64_t limited = 0;            // by rate limit, bulkhead or admission
  uint64_t budget_exhausted = 0;   // retries that were not made for want of budget
  HistogramSnapshot attempt_time;  // of every attempt
  int budget = 0;                  // tokens that are left
  int budget_capacity = 0;
};

class Guard {
 public:
  // Clock, sleeper and random are not owned and outlive the guard.
  Guard(const GuardConfig& config, Clock* clock, Sleeper* sleeper, RandomSource* random);

  // Blocks. `call` runs on this thread, at most once at a time.
  CallResult Call(const CallOptions& options,
                  absl::FunctionRef<AttemptResult(const Attempt&)> call);

  // Wakes every wait of this guard and lets no further attempt start; for shutdown.
  void Stop();
  // Fires with Stop.
  Cancellation stopped() const { return stopped_; }

  // By an operator. Calls that run are not ended, and their results do not count any more.
  void ForceOpen() { breaker_.ForceOpen(); }
  void DisableBreaker() { breaker_.Disable(); }
  // Breaker and retry budget as they were at the start.
  void Reset();

  Breaker::State breaker_state() const { return breaker_.state(); }
  uint64_t breaker_opened() const { return breaker_.opened(); }
  CallMetrics metrics() const;

 private:
  using Function = absl::FunctionRef<AttemptResult(const Attempt&)>;
  // What one call has spent.
  struct Progress {
    RetryProgress retry;
    int cost = 0;  // tokens taken for the attempt that comes next
  };
  struct Counts {
    Counter failed_attempts, failures, retries, rejected, limited, budget_exhausted;
  };

  void Run(const CallOptions& options, Function call, CallResult* result);
  // After a failed attempt: takes the tokens of the next one and waits for its time. False: there
  // is none; *result says why.
  bool PrepareRetry(const CallOptions& options, const AttemptResult& attempt, Progress* progress,
                    CallResult* result);
  void GiveUp(const Progress& progress);
  // Waits until a pause of the endpoint ends. False: not paused, or for too long; *result says why
  // there is no attempt.
  bool WaitOut(const CallOptions& options, Breaker::Permit rejected, int64_t now_ns,
               CallResult* result);
  // The time when entered; nothing: no attempt, and *result says why.
  std::optional<int64_t> EnterLimits(const CallOptions& options, int64_t now_ns,
                                     CallResult* result);
  void LeaveLimits(const CallOptions& options);
  void Tell(uint64_t generation, const CallOptions& options, const Progress& progress,
            const AttemptResult& attempt, int64_t now_ns);
  // These write the reason why there is no attempt to *result.
  std::nullopt_t Late(CallResult* result);
  std::nullopt_t Cancel(CallResult* result);
  std::nullopt_t Limit(const CallOptions& options, Rejection rejection, CallResult* result);
  std::nullopt_t Reject(Breaker::Permit permit, CallResult* result);
  // False when cancelled meanwhile.
  bool Sleep(absl::Duration duration, const Cancellation& cancel);
  bool Cancelled(const CallOptions& options) const {
    return ABSL_PREDICT_FALSE(options.cancel.cancelled() ||
                              stopping_.load(std::memory_order_acquire));
  }
  // Whether there is anything to enter.
  bool Limited(const CallOptions& options) const {
    return ABSL_PREDICT_FALSE(options.admission != nullptr || (limited_ && !options.health_check));
  }
  void Count(Counter Counts::*counter) {
    const auto mine = counts_.Mine();
    (mine.part->*counter).Add(1, mine.exclusive);
  }

  const RetryPolicy policy_;
  Clock* const clock_;
  Sleeper* const sleeper_;
  RandomSource* const random_;
  RetryBudget budget_;
  RateLimit rate_limit_;
  Bulkhead bulkhead_;
  const bool limited_;  // by one of the two
  std::atomic<bool> stopping_{false};
  CancellationSource stop_;
  const Cancellation stopped_ = stop_.token();
  Breaker breaker_;
  ThreadShards<Counts> counts_;
  Histogram attempt_time_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_GUARDED_CALL_H_
