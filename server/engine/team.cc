#include "server/engine/team.h"

namespace mfn::engine {

Team::Team(size_t members) {
  helpers_.reserve(members);
  try {
    for (size_t k = 1; k < members; ++k) helpers_.emplace_back([this, k] { Help(k); });
  } catch (...) {
    Stop();
    throw;
  }
}

Team::~Team() { Stop(); }

void Team::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Team::RunErased(Function function, const void* work) {
  if (!helpers_.empty()) {
    const std::lock_guard lock(mutex_);
    function_ = function;
    work_ = work;
    busy_ = helpers_.size();
    ++round_;
  }
  start_.notify_all();
  function(work, 0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
}

void Team::Help(size_t member) {
  std::unique_lock lock(mutex_);
  for (uint64_t seen = 0;;) {
    start_.wait(lock, [this, seen] { return stopping_ || round_ != seen; });
    if (stopping_) return;
    seen = round_;
    const Function function = function_;
    const void* work = work_;
    lock.unlock();
    function(work, member);
    lock.lock();
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace mfn::engine
