// Delays are computed in floating-point seconds, where overflow is infinity, and bounded there.
#include "server/resilience/backoff.h"

#include <algorithm>
#include <cmath>

namespace mfn::resilience {
namespace {

// min also turns the NaN of 0 * infinity into the bound, because of the order of its arguments.
absl::Duration Bounded(double seconds, absl::Duration max_delay) {
  const double max = std::max(0.0, absl::ToDoubleSeconds(max_delay));
  return absl::Seconds(std::max(0.0, std::min(max, seconds)));
}

double Jittered(JitterKind kind, double seconds, double uniform) {
  switch (kind) {
    case JitterKind::kFull:
      return seconds * uniform;
    case JitterKind::kEqual:
      return seconds / 2 + seconds / 2 * uniform;
    case JitterKind::kQuarter:
      return seconds * (0.75 + 0.5 * uniform);
    case JitterKind::kNone:
      return seconds;
  }
  return seconds;
}

}  // namespace

absl::Duration Backoff::Base(int retry) const {
  const double initial = std::max(0.0, absl::ToDoubleSeconds(config_.initial_delay));
  const double n = std::max(0, retry);
  switch (config_.backoff) {
    case BackoffKind::kExponential:
      if (initial == 0) return absl::ZeroDuration();
      return Bounded(initial * std::pow(std::max(1.0, config_.multiplier), n), config_.max_delay);
    case BackoffKind::kLinear:
      return Bounded(initial * (n + 1), config_.max_delay);
    case BackoffKind::kFixed:
      return Bounded(initial, config_.max_delay);
    case BackoffKind::kImmediate:
    case BackoffKind::kNone:
      return absl::ZeroDuration();
  }
  return absl::ZeroDuration();
}

absl::Duration Backoff::Delay(int retry, RandomSource* random) const {
  const absl::Duration base = Base(retry);
  if (base == absl::ZeroDuration() || config_.jitter == JitterKind::kNone) return base;
  return Bounded(Jittered(config_.jitter, absl::ToDoubleSeconds(base), random->Uniform()),
                 config_.max_delay);
}

}  // namespace mfn::resilience
