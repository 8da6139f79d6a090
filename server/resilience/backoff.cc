// Backoff strategies and jitters; overflow ends at the cap.
#include "server/resilience/backoff.h"

#include <algorithm>
#include <cmath>

namespace mfn::resilience {
namespace {

absl::Duration Unjittered(const RetryConfig& config, int retry) {
  switch (config.backoff) {
    case BackoffKind::kExponential:
      // In doubles an overflow is infinity, and infinity is capped like anything else.
      return config.initial_delay * std::pow(config.multiplier, retry - 1);
    case BackoffKind::kLinear:
      return config.initial_delay * retry;
    case BackoffKind::kFixed:
      return config.initial_delay;
    case BackoffKind::kImmediate:
    case BackoffKind::kNone:
      break;
  }
  return absl::ZeroDuration();
}

}  // namespace

absl::Duration BackoffDelay(const RetryConfig& config, int retry, RandomSource* random) {
  const absl::Duration delay = std::min(Unjittered(config, std::max(retry, 1)), config.max_delay);
  if (delay <= absl::ZeroDuration()) return absl::ZeroDuration();
  switch (config.jitter) {
    case JitterKind::kFull:
      return delay * random->Uniform();
    case JitterKind::kEqual:
      return delay * (0.5 + 0.5 * random->Uniform());
    case JitterKind::kQuarter:
      return std::min(delay * (0.75 + 0.5 * random->Uniform()), config.max_delay);
    case JitterKind::kNone:
      break;
  }
  return delay;
}

}  // namespace mfn::resilience
