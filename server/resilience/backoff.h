// How long to wait before the k-th retry: strategy, then cap, then jitter.
//
//   strategy      delay before retry k = 1, 2, ...
//   exponential   initial * multiplier^(k-1)
//   linear        initial * k
//   fixed         initial
//   immediate     0
//   none          no retry at all (the policy's business; 0 here)
//
// Jitter on a delay d: full [0, d), equal [d/2, d), quarter d +- 25 %, none d. Full jitter spreads
// a herd best (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#ifndef MFN_SERVER_RESILIENCE_BACKOFF_H_
#define MFN_SERVER_RESILIENCE_BACKOFF_H_

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"

namespace mfn::resilience {

// retry >= 1. Never negative, never more than max_delay (quarter jitter included). Thread-safe if
// `random` is.
absl::Duration BackoffDelay(const RetryConfig& config, int retry, RandomSource* random);

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_BACKOFF_H_
