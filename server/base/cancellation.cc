// Cancellation: one shared state per source, with callbacks that run once on the cancelling thread.
#include "server/base/cancellation.h"

#include <atomic>
#include <map>
#include <thread>
#include <utility>

#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace mfn {
namespace {

absl::Duration SteadyNow() { return absl::Nanoseconds(Clock::Real()->MonotonicNanos()); }

}  // namespace

struct Cancellation::State {
  std::atomic<bool> cancelled{false};
  Mutex mutex;
  CondVar changed;
  std::map<uint64_t, std::function<void()>> callbacks ABSL_GUARDED_BY(mutex);
  uint64_t next_id ABSL_GUARDED_BY(mutex) = 1;
  // The callback that runs now, and on which thread; 0: none.
  uint64_t running ABSL_GUARDED_BY(mutex) = 0;
  std::thread::id runner ABSL_GUARDED_BY(mutex);

  void Cancel() {
    MutexLock lock(&mutex);
    if (cancelled.exchange(true)) return;
    changed.NotifyAll();
    runner = std::this_thread::get_id();
    while (!callbacks.empty()) {
      auto node = callbacks.extract(callbacks.begin());
      running = node.key();
      mutex.Unlock();
      node.mapped()();
      mutex.Lock();
      running = 0;
      changed.NotifyAll();
    }
  }
};

Cancellation::Cancellation() = default;
Cancellation::Cancellation(std::shared_ptr<State> state) : state_(std::move(state)) {}

bool Cancellation::Fired() const { return state_->cancelled.load(std::memory_order_acquire); }

bool Cancellation::WaitFor(absl::Duration duration) const {
  // Without a source nothing can fire; a state of its own serves to wait on.
  const std::shared_ptr<State> state = state_ != nullptr ? state_ : std::make_shared<State>();
  // Not the wall clock, which may jump.
  const absl::Duration deadline = SteadyNow() + duration;
  MutexLock lock(&state->mutex);
  while (!state->cancelled.load(std::memory_order_acquire)) {
    const absl::Duration left = deadline - SteadyNow();
    if (left <= absl::ZeroDuration()) return false;
    state->changed.WaitFor(&state->mutex, left);
  }
  return true;
}

uint64_t Cancellation::Subscribe(std::function<void()> callback) const {
  if (state_ == nullptr) return 0;
  {
    MutexLock lock(&state_->mutex);
    if (!state_->cancelled.load(std::memory_order_acquire)) {
      const uint64_t id = state_->next_id++;
      state_->callbacks.emplace(id, std::move(callback));
      return id;
    }
  }
  callback();
  return 0;
}

void Cancellation::Unsubscribe(uint64_t id) const {
  if (state_ == nullptr || id == 0) return;
  MutexLock lock(&state_->mutex);
  state_->callbacks.erase(id);
  // A callback may unsubscribe itself; waiting for itself would never end.
  while (state_->running == id && state_->runner != std::this_thread::get_id()) {
    state_->changed.Wait(&state_->mutex);
  }
}

CancellationSource::CancellationSource() : state_(std::make_shared<Cancellation::State>()) {}

CancellationSource::CancellationSource(const Cancellation& parent)
    : state_(std::make_shared<Cancellation::State>()), parent_(parent) {
  subscription_ = parent_.Subscribe([state = state_] { state->Cancel(); });
}

CancellationSource::~CancellationSource() { parent_.Unsubscribe(subscription_); }

void CancellationSource::Cancel() { state_->Cancel(); }

Cancellation CancellationSource::token() const { return Cancellation(state_); }

}  // namespace mfn
