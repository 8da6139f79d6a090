// The table of retry_policy.h.
#include "server/resilience/retry_policy.h"

#include <algorithm>

namespace mfn::resilience {

RetryPolicy::RetryPolicy(const RetryConfig& config)
    : max_retries_(config.backoff == BackoffKind::kNone ? 0 : std::max(0, config.max_retries)),
      max_retry_after_(std::max(config.max_delay, absl::Minutes(5))),
      backoff_(config) {}

bool RetryPolicy::ShouldRetry(Outcome outcome, bool idempotent,
                              const RetryProgress& progress) const {
  if (progress.retries >= max_retries_) return false;
  switch (outcome) {
    case Outcome::kRetryable:
    case Outcome::kNotConnected:
    case Outcome::kThrottled:
      return true;
    case Outcome::kOutcomeUnknown:
    case Outcome::kDeadline:
      return idempotent;
    case Outcome::kAuth:
      return !progress.auth_retried;
    case Outcome::kOk:
    case Outcome::kPermanent:
    case Outcome::kCancelled:
      return false;
  }
  return false;
}

absl::Duration RetryPolicy::Wait(const AttemptResult& result, int retry,
                                 RandomSource* random) const {
  return std::max(backoff_.Delay(retry, random), CapRetryAfter(result.retry_after));
}

absl::Duration RetryPolicy::CapRetryAfter(absl::Duration asked) const {
  return std::clamp(asked, absl::ZeroDuration(), max_retry_after_);
}

}  // namespace mfn::resilience
