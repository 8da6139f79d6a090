// The checks and how long each counts.
#include "server/base/readiness.h"

#include <algorithm>
#include <utility>

namespace mfn {

Readiness::Readiness(std::vector<std::string> names, Clock* clock) : clock_(clock) {
  for (std::string& name : names) checks_.push_back({{std::move(name), false, "starting"}});
}

void Readiness::Set(absl::string_view name, const absl::Status& status, absl::string_view note) {
  Store(name, status, note, INT64_MAX);
}

void Readiness::SetFor(absl::string_view name, const absl::Status& status, absl::Duration fresh) {
  Store(name, status, "", clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(fresh));
}

void Readiness::Store(absl::string_view name, const absl::Status& status, absl::string_view note,
                      int64_t until_ns) {
  MutexLock lock(&mutex_);
  for (Check& check : checks_) {
    if (check.shown.name != name) continue;
    check.shown.ok = status.ok();
    check.shown.message = std::string(status.ok() ? note : status.message());
    check.until_ns = until_ns;
  }
}

std::vector<ReadinessCheck> Readiness::Checks() const {
  const int64_t now = clock_->MonotonicNanos();
  MutexLock lock(&mutex_);
  std::vector<ReadinessCheck> shown;
  for (const Check& check : checks_) {
    shown.push_back(check.shown);
    if (now < check.until_ns) continue;
    shown.back().ok = false;
    shown.back().message = "no answer any more; the last one was too long ago";
  }
  return shown;
}

bool Readiness::Ready() const {
  const std::vector<ReadinessCheck> checks = Checks();
  return std::all_of(checks.begin(), checks.end(), [](const auto& check) { return check.ok; });
}

}  // namespace mfn
