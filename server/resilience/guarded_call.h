// The one composition point of every call into a plugin; nothing else in the tree knows how to
// retry.
//
//   total deadline > retry > breaker peek > breaker acquire > attempt timeout > attempt > classify
//
// Rate limit and bulkhead stand between peek and acquire: the breaker is acquired last, so that
// what is refused locally never counts against the endpoint and a half-open probe never queues.
//
//   GuardedCall guard(config.retry, config.breaker, clock, sleeper, random);
//   CallReport report = guard.Run({.attempt_timeout = config.timeout}, cancel,
//                                 [&](const AttemptContext& attempt) { return ... one attempt ...;
//                                 });
//
// Thread-safe; many calls may run at once. The path itself allocates nothing.
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

namespace mfn::resilience {

struct CallOptions {
  absl::Duration attempt_timeout = absl::Seconds(30);
  // No attempt starts past it, and none outlasts it.
  absl::Duration total_timeout = absl::InfiniteDuration();
  // Whether an attempt whose outcome is unknown may be repeated.
  bool idempotent = true;
  // False: one attempt, whatever comes of it.
  bool retry = true;
};

struct AttemptContext {
  int number;           // from 1
  int64_t deadline_ns;  // monotonic
};

struct CallReport {
  AttemptResult result;  // of the last attempt; kRejected if none was made
  int attempts = 0;
};

// Counters only grow. Read at any time.
struct CallMetrics {
  std::atomic<uint64_t> calls{0};
  std::atomic<uint64_t> attempts{0};
  std::atomic<uint64_t> successes{0};
  std::atomic<uint64_t> failures{0};
  std::atomic<uint64_t> retries{0};
  std::atomic<uint64_t> rejected{0};
  std::atomic<uint64_t> attempt_nanos{0};
};

class GuardedCall {
 public:
  // Clock, sleeper and random are borrowed and outlive it.
  GuardedCall(const RetryConfig& retry, const BreakerConfig& breaker, Clock* clock,
              Sleeper* sleeper, RandomSource* random);

  CallReport Run(const CallOptions& options, const Cancellation& cancel,
                 absl::FunctionRef<AttemptResult(const AttemptContext&)> attempt);

  const CallMetrics& metrics() const { return metrics_; }
  Breaker& breaker() { return breaker_; }
  const Breaker& breaker() const { return breaker_; }

 private:
  bool MayRetry(const AttemptResult& result, const CallOptions& options, int attempts,
                bool auth_retried) const;
  absl::Duration DelayBefore(const AttemptResult& result, int retry) const;
  AttemptResult RunAttempt(Breaker::Permit permit, const AttemptContext& context,
                           absl::FunctionRef<AttemptResult(const AttemptContext&)> attempt);

  const RetryConfig retry_;
  Clock* const clock_;
  Sleeper* const sleeper_;
  RandomSource* const random_;
  Breaker breaker_;
  CallMetrics metrics_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_GUARDED_CALL_H_
