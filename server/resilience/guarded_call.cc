// Retry around breaker around attempt, in the order that guarded_call.h gives.
#include "server/resilience/guarded_call.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "server/resilience/backoff.h"

namespace mfn::resilience {
namespace {

// A server that says "come back tomorrow" does not hold a call until then.
constexpr absl::Duration kMaxRetryAfter = absl::Minutes(5);

int64_t DeadlineAfter(int64_t now, absl::Duration timeout) {
  const int64_t nanos = absl::ToInt64Nanoseconds(timeout);  // saturates
  const int64_t most = std::numeric_limits<int64_t>::max();
  return nanos > most - now ? most : now + nanos;
}

}  // namespace

GuardedCall::GuardedCall(const RetryConfig& retry, const BreakerConfig& breaker, Clock* clock,
                         Sleeper* sleeper, RandomSource* random)
    : retry_(retry),
      clock_(clock),
      sleeper_(sleeper),
      random_(random),
      breaker_(breaker, clock, random) {}

bool GuardedCall::MayRetry(const AttemptResult& result, const CallOptions& options, int attempts,
                           bool auth_retried) const {
  if (!options.retry || retry_.backoff == BackoffKind::kNone) return false;
  if (attempts > retry_.max_retries) return false;
  if (result.outcome_unknown && !options.idempotent) return false;
  switch (result.call_class) {
    case CallClass::kRetryable:
    case CallClass::kThrottled:
    case CallClass::kNotConnected:
      return true;
    case CallClass::kAuth:
      return !auth_retried;
    case CallClass::kOk:
    case CallClass::kPermanent:
    case CallClass::kCancelled:
    case CallClass::kRejected:
      break;
  }
  return false;
}

absl::Duration GuardedCall::DelayBefore(const AttemptResult& result, int retry) const {
  const absl::Duration own = BackoffDelay(retry_, retry, random_);
  const absl::Duration cap = std::max(retry_.max_delay, kMaxRetryAfter);
  return std::max(own, std::min(result.retry_after, cap));
}

AttemptResult GuardedCall::RunAttempt(
    Breaker::Permit permit, const AttemptContext& context,
    absl::FunctionRef<AttemptResult(const AttemptContext&)> attempt) {
  metrics_.attempts.fetch_add(1, std::memory_order_relaxed);
  const int64_t start = clock_->MonotonicNanos();
  const AttemptResult result = attempt(context);
  metrics_.attempt_nanos.fetch_add(clock_->MonotonicNanos() - start, std::memory_order_relaxed);
  breaker_.Report(permit, SignalOf(result));
  return result;
}

CallReport GuardedCall::Run(const CallOptions& options, const Cancellation& cancel,
                            absl::FunctionRef<AttemptResult(const AttemptContext&)> attempt) {
  metrics_.calls.fetch_add(1, std::memory_order_relaxed);
  const int64_t total_deadline = DeadlineAfter(clock_->MonotonicNanos(), options.total_timeout);
  CallReport report{{CallClass::kCancelled}, 0};
  bool auth_retried = false;
  while (!cancel.cancelled()) {
    std::optional<Breaker::Permit> permit;
    if (breaker_.Peek()) permit = breaker_.Acquire();
    if (!permit) {
      metrics_.rejected.fetch_add(1, std::memory_order_relaxed);
      if (report.attempts == 0) report.result = {CallClass::kRejected, breaker_.TimeUntilProbe()};
      break;
    }
    const int64_t now = clock_->MonotonicNanos();
    const int64_t deadline = std::min(total_deadline, DeadlineAfter(now, options.attempt_timeout));
    report.result = RunAttempt(*permit, {++report.attempts, deadline}, attempt);
    if (!MayRetry(report.result, options, report.attempts, auth_retried)) break;
    auth_retried |= report.result.call_class == CallClass::kAuth;
    const absl::Duration delay = DelayBefore(report.result, report.attempts);
    if (DeadlineAfter(clock_->MonotonicNanos(), delay) >= total_deadline) break;
    if (delay > absl::ZeroDuration() && !sleeper_->Sleep(delay, cancel)) break;
    metrics_.retries.fetch_add(1, std::memory_order_relaxed);
  }
  auto& ended = report.result.call_class == CallClass::kOk ? metrics_.successes : metrics_.failures;
  ended.fetch_add(1, std::memory_order_relaxed);
  return report;
}

}  // namespace mfn::resilience
