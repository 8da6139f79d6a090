// The threads that simulate, shared by all pipelines: as many as cores, so that one pipeline alone
// uses them all and several share them in turn.
//
//   WorkerPool pool(0);
//   auto lane = pool.AddQueue(pipeline_workers);
//   lane->Push([](WorkerPool::Arena& arena) { ... });   // any thread; runs once on a worker
//
// Threads start with the first task. A worker that has been idle for seconds gives its arena's
// memory back. A queue must be closed before what its tasks refer to goes away; the pool outlives
// its queues' users. Bounds are the caller's: a queue holds what is pushed.
#ifndef MFN_SERVER_PIPELINE_WORKER_POOL_H_
#define MFN_SERVER_PIPELINE_WORKER_POOL_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/engine/simulation.h"

namespace mfn::pipeline {

class WorkerPool {
 public:
  // A worker's own simulation, whose memory is used again; never null, but a task may exchange it
  // for another.
  using Arena = std::unique_ptr<engine::Simulation>;
  // Must not throw.
  using Task = std::function<void(Arena& arena)>;

  class Queue {
   public:
    void Push(Task task);
    // Forgets tasks that have not started and waits for those that run. Idempotent; not from a
    // task.
    void Close();
    // Runs the waiting task of this index on the caller's thread; false: there are no more than
    // that. For a pool without threads.
    bool RunOne(size_t index, Arena& arena);

   private:
    friend class WorkerPool;
    Queue(WorkerPool* pool, int limit) : pool_(pool), limit_(limit) {}

    WorkerPool* const pool_;
    const int limit_;
    // Guarded by the pool's mutex.
    std::deque<Task> tasks_;
    int running_ = 0;
    bool closed_ = false;
  };

  // 0: one per core; kNoThreads: tasks wait for RunOne.
  static constexpr int kNoThreads = -1;
  explicit WorkerPool(int threads);
  ~WorkerPool();  // finishes running tasks, forgets the others

  // `limit`: how many tasks of this queue run at once; 0: no limit but the pool's. The pool keeps
  // the queue until it is closed.
  std::shared_ptr<Queue> AddQueue(int limit);
  int threads() const { return threads_; }

 private:
  void StartThreads() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  // Waits for a task; false after `patience` without one, and when stopping.
  bool Take(absl::Duration patience, std::shared_ptr<Queue>* queue, Task* task);
  // The next queue, in turn, that may start a task; null: none.
  std::shared_ptr<Queue> Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int threads_;
  Mutex mutex_;
  CondVar work_, done_;
  std::vector<std::shared_ptr<Queue>> queues_ ABSL_GUARDED_BY(mutex_);
  size_t turn_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> stopping_ = false;  // written under the mutex
  std::vector<std::thread> workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_WORKER_POOL_H_
