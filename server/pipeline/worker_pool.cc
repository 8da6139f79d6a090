#include "server/pipeline/worker_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/time.h"

namespace mfn::pipeline {
namespace {

// How long an idle worker keeps the memory of its last simulation, which may be 48 MiB.
constexpr absl::Duration kKeepArena = absl::Seconds(5);
constexpr absl::Duration kForGood = absl::Hours(24);

}  // namespace

WorkerPool::WorkerPool(int threads)
    : threads_(threads == kNoThreads ? 0
               : threads > 0
                   ? threads
                   : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))) {}

WorkerPool::~WorkerPool() {
  std::vector<std::thread> workers;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    workers.swap(workers_);
    work_.NotifyAll();
  }
  for (std::thread& worker : workers) worker.join();
}

std::shared_ptr<WorkerPool::Queue> WorkerPool::AddQueue(int limit) {
  std::shared_ptr<Queue> queue(new Queue(this, limit > 0 ? std::min(limit, threads_) : threads_));
  MutexLock lock(&mutex_);
  queues_.push_back(queue);
  return queue;
}

void WorkerPool::Queue::Push(Task task) {
  MutexLock lock(&pool_->mutex_);
  if (closed_) return;
  pool_->StartThreads();
  tasks_.push_back(std::move(task));
  pool_->work_.NotifyOne();
}

void WorkerPool::Queue::Close() {
  std::deque<Task> forgotten;  // destroyed without the lock
  MutexLock lock(&pool_->mutex_);
  closed_ = true;
  forgotten.swap(tasks_);
  while (running_ > 0) pool_->done_.Wait(&pool_->mutex_);
  auto& queues = pool_->queues_;
  queues.erase(std::remove_if(queues.begin(), queues.end(),
                              [this](const auto& queue) { return queue.get() == this; }),
               queues.end());
}

bool WorkerPool::Queue::RunOne(size_t index, Arena& arena) {
  Task task;
  {
    MutexLock lock(&pool_->mutex_);
    if (index >= tasks_.size()) return false;
    task = std::move(tasks_[index]);
    tasks_.erase(tasks_.begin() + static_cast<std::ptrdiff_t>(index));
  }
  task(arena);
  return true;
}

void WorkerPool::StartThreads() {
  if (!workers_.empty() || stopping_) return;
  for (int k = 0; k < threads_; ++k) workers_.emplace_back([this] { Run(); });
}

std::shared_ptr<WorkerPool::Queue> WorkerPool::Next() {
  for (size_t k = 0; k < queues_.size(); ++k) {
    turn_ = (turn_ + 1) % queues_.size();
    const std::shared_ptr<Queue>& queue = queues_[turn_];
    if (!queue->tasks_.empty() && queue->running_ < queue->limit_) return queue;
  }
  return nullptr;
}

bool WorkerPool::Take(absl::Duration patience, std::shared_ptr<Queue>* queue, Task* task) {
  const auto give_up = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  MutexLock lock(&mutex_);
  while (!stopping_ && (*queue = Next()) == nullptr) {
    const auto left = give_up - std::chrono::steady_clock::now();
    if (left <= left.zero()) return false;
    work_.WaitFor(&mutex_, absl::FromChrono(left));
  }
  if (stopping_) return false;
  *task = std::move((*queue)->tasks_.front());
  (*queue)->tasks_.pop_front();
  ++(*queue)->running_;
  return true;
}

void WorkerPool::Run() {
  Arena arena = std::make_unique<engine::Simulation>();
  absl::Duration patience = kForGood;
  while (!stopping_) {
    std::shared_ptr<Queue> queue;
    Task task;
    if (!Take(patience, &queue, &task)) {
      arena = std::make_unique<engine::Simulation>();
      patience = kForGood;
      continue;
    }
    task(arena);
    patience = kKeepArena;
    task = nullptr;  // lets go of what it holds before the queue may be closed
    MutexLock lock(&mutex_);
    --queue->running_;
    done_.NotifyAll();
    // This worker may have been what kept the queue at its limit; it looks again itself.
  }
}

}  // namespace mfn::pipeline
