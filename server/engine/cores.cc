#include "server/engine/cores.h"

#include <algorithm>
#include <system_error>

#include "server/engine/barrier.h"

namespace mfn::engine {

Cores::Cores(size_t count) : count_(std::max<size_t>(count, 1)), limit_(count_) {
  helpers_.reserve(count_ - 1);
}

Cores::~Cores() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& helper : helpers_) helper->wake.notify_one();
  }
  for (const auto& helper : helpers_) helper->thread.join();
}

void Cores::Limit(size_t cores) {
  const std::lock_guard lock(mutex_);
  limit_ = std::min(cores, count_);
}

uint64_t Cores::loans() const {
  const std::lock_guard lock(mutex_);
  return loans_;
}

Cores::Seat::Seat(Cores* cores) : cores_(cores) {
  if (cores_ == nullptr) return;
  const std::lock_guard lock(cores_->mutex_);
  ++cores_->taken_;
}

Cores::Seat::~Seat() {
  if (cores_ == nullptr) return;
  const std::lock_guard lock(cores_->mutex_);
  --cores_->taken_;
}

Cores::Helper* Cores::Lend(size_t most, size_t* lent) {
  Helper* list = nullptr;
  *lent = 0;
  const std::lock_guard lock(mutex_);
  while (*lent < most && taken_ < limit_ && (idle_ != nullptr || StartHelper())) {
    Helper* helper = idle_;
    idle_ = helper->next;
    helper->next = list;
    helper->member = ++*lent;
    list = helper;
    ++taken_;
  }
  if (list != nullptr) ++loans_;
  return list;
}

// A thread that cannot be started is one that cannot be lent.
bool Cores::StartHelper() {
  if (helpers_.size() + 1 >= count_) return false;
  auto helper = std::make_unique<Helper>();
  try {
    helper->thread = std::thread([this, self = helper.get()] { Help(self); });
  } catch (const std::system_error&) {
    return false;
  }
  idle_ = helper.get();
  helpers_.push_back(std::move(helper));
  return true;
}

void Cores::Return(Helper* helpers, size_t lent) {
  if (helpers == nullptr) return;
  const std::lock_guard lock(mutex_);
  taken_ -= lent;
  while (helpers != nullptr) {
    Helper* next = helpers->next;
    helpers->next = idle_;
    idle_ = helpers;
    helpers = next;
  }
}

void Cores::Run(Helper* helpers, Round* round) {
  {
    const std::lock_guard lock(mutex_);
    for (Helper* helper = helpers; helper != nullptr; helper = helper->next) {
      helper->round.store(round, std::memory_order_release);
      helper->wake.notify_one();
    }
  }
  round->function(round->work, 0);
  const auto done = [round] { return round->busy.load(std::memory_order_acquire) == 0; };
  if (SpinUntil(done)) return;
  std::unique_lock lock(mutex_);
  done_.wait(lock, done);
}

// The next round of a team often follows at once, so it is waited for awake for a moment. The round
// belongs to the caller, who may be gone as soon as nobody is busy with it.
void Cores::Help(Helper* self) {
  const auto called = [self] { return self->round.load(std::memory_order_acquire) != nullptr; };
  std::unique_lock lock(mutex_);
  while (true) {
    self->wake.wait(lock, [this, &called] { return stopping_ || called(); });
    if (stopping_) return;
    Round* round = self->round.load(std::memory_order_relaxed);
    const size_t member = self->member;
    lock.unlock();
    round->function(round->work, member);
    lock.lock();
    self->round.store(nullptr, std::memory_order_relaxed);
    if (round->busy.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.notify_all();
    lock.unlock();
    SpinUntil(called);
    lock.lock();
  }
}

}  // namespace mfn::engine
