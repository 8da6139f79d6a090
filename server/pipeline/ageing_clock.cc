#include "server/pipeline/ageing_clock.h"

#include <algorithm>

#include "server/base/log.h"

namespace mfn::pipeline {

AgeingClock::AgeingClock(Clock* clock, absl::Duration max_age)
    : clock_(clock),
      max_age_(max_age),
      wall_(clock->Now()),
      monotonic_(clock->MonotonicNanos()),
      believe_at_(monotonic_ + absl::ToInt64Nanoseconds(std::min(max_age, kStartGrace))) {}

absl::Time AgeingClock::Cutoff() {
  const absl::Time wall = clock_->Now();
  const int64_t monotonic = clock_->MonotonicNanos();
  const absl::Duration elapsed = absl::Nanoseconds(monotonic - monotonic_);
  const absl::Duration jump = wall - wall_ - elapsed;
  const absl::Duration slack = absl::Seconds(1) + elapsed / 100;
  wall_ = wall;
  monotonic_ = monotonic;
  if (jump > slack) believe_at_ = monotonic + absl::ToInt64Nanoseconds(max_age_);
  if (jump > slack || jump < -slack) {
    Log(LogLevel::kWarning, "pipeline",
        "the wall clock was set; dead letters are kept longer rather than removed too early",
        {{"by", absl::FormatDuration(jump)}});
  }
  time_ = monotonic >= believe_at_ ? wall : std::min(time_ + elapsed, wall);
  return time_ - max_age_;
}

}  // namespace mfn::pipeline
