// One mutex and one condition; a call that is inside holds neither.
#include "server/registry/call_gate.h"

#include <algorithm>

#include "server/base/clock.h"

namespace mfn::registry {
namespace {

// A waiter looks this often whether its caller gave up; leaving wakes it at once.
constexpr absl::Duration kLook = absl::Milliseconds(20);

}  // namespace

bool CallGate::HasRoom(Mode mode) const {
  if (mode == Mode::kAny) return true;
  if (Count(Mode::kExclusive) > 0) return false;
  if (mode == Mode::kExclusive) {
    return Count(Mode::kWorker) + Count(Mode::kAck) + Count(Mode::kParallel) == 0;
  }
  if (exclusive_waiting_ > 0) return false;
  return Count(mode) < (mode == Mode::kParallel ? max_in_flight_ : 1);
}

bool CallGate::Enter(Mode mode, int64_t deadline_ns, const Cancellation& cancel) {
  MutexLock lock(&mutex_);
  const bool exclusive = mode == Mode::kExclusive;
  if (exclusive) ++exclusive_waiting_;
  bool entered = false;
  while (!closed_) {
    entered = HasRoom(mode);
    if (entered || cancel.cancelled()) break;
    const int64_t left = deadline_ns - clock_->MonotonicNanos();
    if (left <= 0) break;
    changed_.WaitFor(&mutex_, std::min(kLook, absl::Nanoseconds(left)));
  }
  if (exclusive) --exclusive_waiting_;
  if (entered) {
    ++Count(mode);
  } else if (exclusive) {
    changed_.NotifyAll();
  }
  return entered;
}

void CallGate::Leave(Mode mode) {
  MutexLock lock(&mutex_);
  --Count(mode);
  changed_.NotifyAll();
}

void CallGate::Downgrade(Mode mode) {
  MutexLock lock(&mutex_);
  --Count(Mode::kExclusive);
  ++Count(mode);
  changed_.NotifyAll();
}

void CallGate::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

bool CallGate::closed() const {
  MutexLock lock(&mutex_);
  return closed_;
}

bool CallGate::WaitIdle(absl::Duration bound) {
  // Not the wall clock, which may jump.
  const auto now = [] { return absl::Nanoseconds(Clock::Real()->MonotonicNanos()); };
  const absl::Duration until = now() + bound;
  MutexLock lock(&mutex_);
  while (std::any_of(inside_.begin(), inside_.end(), [](int n) { return n > 0; })) {
    const absl::Duration left = until - now();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitFor(&mutex_, left);
  }
  return true;
}

}  // namespace mfn::registry
