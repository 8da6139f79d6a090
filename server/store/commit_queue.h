// The one connection to the database, shared by all threads. Writes that wait at the same time
// share one transaction, and so one fsync: the first in the queue commits for those behind it.
//
//   absl::Status s = queue.Write(value.size(), [&](Database& database) { ... });
//   absl::Status s = queue.Read([&](Database& database) { ... });
//
// Thread-safe. Work must not call the queue again.
#ifndef MFN_SERVER_STORE_COMMIT_QUEUE_H_
#define MFN_SERVER_STORE_COMMIT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/store/sqlite.h"

namespace mfn::store {

class CommitQueue {
 public:
  using Work = absl::FunctionRef<absl::Status(Database& database)>;

  explicit CommitQueue(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  // Returns OK when what the work did is on the disk. Any failure, of the work or of the commit,
  // means that nothing of it was done; it does not touch the others of its transaction.
  //
  // The work runs on any thread, may run more than once (alone, after its shared transaction was
  // rolled back) and so sets its results afresh each time. `bytes` is about what it writes: a
  // transaction is not shared beyond a few MiB.
  absl::Status Write(size_t bytes, Work work);
  // Sees all that was committed.
  absl::Status Read(Work work);

  int64_t transactions() const;  // committed so far
  size_t waiting() const;        // writes that are not done

 private:
  struct Waiter {
    Work work;
    const size_t bytes;
    absl::Status status;  // the leader's until done
    bool done = false;
    CondVar wake;
  };
  std::vector<Waiter*> TakeGroup() ABSL_EXCLUSIVE_LOCKS_REQUIRED(queue_mutex_);
  void Commit(const std::vector<Waiter*>& group) ABSL_LOCKS_EXCLUDED(queue_mutex_);
  absl::Status Transact(const std::vector<Waiter*>& group)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_mutex_);

  mutable Mutex queue_mutex_;
  // The front one leads; it and its group stay here until they are done.
  std::deque<Waiter*> queue_ ABSL_GUARDED_BY(queue_mutex_);

  mutable Mutex database_mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(database_mutex_);
  int64_t transactions_ ABSL_GUARDED_BY(database_mutex_) = 0;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_COMMIT_QUEUE_H_
