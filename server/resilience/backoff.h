// How long to wait before a retry: strategy, then jitter. Immutable and thread-safe; the same
// random numbers give the same delays.
#ifndef MFN_SERVER_RESILIENCE_BACKOFF_H_
#define MFN_SERVER_RESILIENCE_BACKOFF_H_

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"

namespace mfn::resilience {

class Backoff {
 public:
  explicit Backoff(const RetryConfig& config) : config_(config) {}

  // Before the retry with that index, from 0. Within [0, max_delay] for any index, however large.
  absl::Duration Delay(int retry, RandomSource* random) const;

  // The same before jitter:
  //   exponential  initial_delay * multiplier^retry
  //   linear       initial_delay * (retry + 1)
  //   fixed        initial_delay
  //   immediate, none  0
  absl::Duration Base(int retry) const;

 private:
  const RetryConfig config_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_BACKOFF_H_
