#include "server/engine/cores.h"

#include <algorithm>
#include <system_error>

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
      helper->round = round;
      helper->wake.notify_one();
    }
  }
  round->function(round->work, 0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [round] { return round->busy == 0; });
}

void Cores::Help(Helper* self) {
  std::unique_lock lock(mutex_);
  while (true) {
    self->wake.wait(lock, [this, self] { return stopping_ || self->round != nullptr; });
    if (stopping_) return;
    Round* round = self->round;
    const size_t member = self->member;
    lock.unlock();
    round->function(round->work, member);
    lock.lock();
    self->round = nullptr;
    if (--round->busy == 0) done_.notify_all();
  }
}

}  // namespace mfn::engine
