// Which outcomes are tried again, how often, and how long to wait before it.
//
//   kOk, kPermanent, kCancelled   never
//   kRetryable, kNotConnected,
//   kThrottled                    up to max_retries times
//   kOutcomeUnknown, kDeadline    likewise, if the call may be repeated
//   kAuth                         once in a call
//
// Immutable and thread-safe.
#ifndef MFN_SERVER_RESILIENCE_RETRY_POLICY_H_
#define MFN_SERVER_RESILIENCE_RETRY_POLICY_H_

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/resilience/backoff.h"
#include "server/resilience/outcome.h"

namespace mfn::resilience {

// What one guarded call has spent so far.
struct RetryProgress {
  int retries = 0;
  bool auth_retried = false;
};

class RetryPolicy {
 public:
  explicit RetryPolicy(const RetryConfig& config);

  bool ShouldRetry(Outcome outcome, bool idempotent, const RetryProgress& progress) const;

  // Own backoff, or what the endpoint asked for if that is longer and no longer than
  // MaxRetryAfter.
  absl::Duration Wait(const AttemptResult& result, int retry, RandomSource* random) const;

  // `asked` within [0, max(max_delay, 5 minutes)]: no endpoint may park an instance for a year.
  absl::Duration CapRetryAfter(absl::Duration asked) const;

 private:
  const int max_retries_;
  const absl::Duration max_retry_after_;
  const Backoff backoff_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_RETRY_POLICY_H_
