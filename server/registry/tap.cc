// Taps see outside of the mutex, so that a slow one keeps nobody from leaving.
#include "server/registry/tap.h"

#include <algorithm>
#include <utility>

namespace mfn::registry {

void TapPoint::Add(std::shared_ptr<Tap> tap) {
  MutexLock lock(&mutex_);
  taps_.push_back(std::move(tap));
  count_.store(static_cast<int>(taps_.size()), std::memory_order_relaxed);
}

void TapPoint::Remove(const Tap* tap) {
  MutexLock lock(&mutex_);
  taps_.erase(std::remove_if(taps_.begin(), taps_.end(),
                             [tap](const auto& known) { return known.get() == tap; }),
              taps_.end());
  count_.store(static_cast<int>(taps_.size()), std::memory_order_relaxed);
}

void TapPoint::See(TapDirection direction, absl::Span<const mfn_record> records, mfn_code outcome) {
  std::vector<std::shared_ptr<Tap>> taps;
  {
    MutexLock lock(&mutex_);
    taps = taps_;
  }
  for (const std::shared_ptr<Tap>& tap : taps) {
    for (const mfn_record& record : records) tap->See(direction, record, outcome);
  }
}

}  // namespace mfn::registry
