// A counter and one condition; who is inside holds neither.
#include "server/resilience/bulkhead.h"

#include <algorithm>

namespace mfn::resilience {
namespace {

// A waiter looks this often whether its caller gave up; a place that is free wakes it at once.
constexpr absl::Duration kLook = absl::Milliseconds(20);

}  // namespace

bool Bulkhead::Enter(int64_t deadline_ns, const Cancellation& cancel) {
  if (!enabled()) return true;
  MutexLock lock(&mutex_);
  while (!closed_) {
    if (inside_ < places_) {
      ++inside_;
      return true;
    }
    if (cancel.cancelled()) return false;
    const int64_t left = deadline_ns - clock_->MonotonicNanos();
    if (left <= 0) return false;
    changed_.WaitFor(&mutex_, std::min(kLook, absl::Nanoseconds(left)));
  }
  return false;
}

void Bulkhead::Leave() {
  if (!enabled()) return;
  MutexLock lock(&mutex_);
  --inside_;
  changed_.NotifyOne();
}

void Bulkhead::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

}  // namespace mfn::resilience
