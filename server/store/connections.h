// The two ways to the database: a writer that gathers mutations of several threads into one
// transaction, so that they share its fsync, and a reader that a commit does not hold up.
//
// Thread-safe.
#ifndef MFN_SERVER_STORE_CONNECTIONS_H_
#define MFN_SERVER_STORE_CONNECTIONS_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/base/mutex.h"
#include "server/store/sqlite.h"

namespace mfn::store {

class Writer {
 public:
  // Statements of one mutation. Its error undoes it alone. It may be called twice (when the
  // transaction it shared with others failed), so it starts its outputs afresh; it may run on
  // another caller's thread.
  using Mutation = absl::FunctionRef<absl::Status(Database&)>;

  explicit Writer(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  // OK: committed and on disk. Otherwise: nothing of this mutation is there.
  absl::Status Run(Mutation mutation);

  // Mutations that queue behind the transaction now under way.
  size_t waiting();

 private:
  struct Waiting {
    Mutation mutation;
    absl::Status status;  // the committing thread's, until done
    bool done = false;    // under queue_mutex_
  };

  void CommitAll(absl::Span<Waiting* const> batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_mutex_);
  absl::Status CommitTogether(absl::Span<Waiting* const> batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_mutex_);
  absl::Status Apply(Waiting& waiting) ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_mutex_);

  // Held during a transaction, by the one who set committing_; nobody ever waits for it.
  Mutex database_mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(database_mutex_);
  Mutex queue_mutex_;
  CondVar committed_;
  std::vector<Waiting*> queue_ ABSL_GUARDED_BY(queue_mutex_);
  bool committing_ ABSL_GUARDED_BY(queue_mutex_) = false;
};

class Reader {
 public:
  explicit Reader(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  // Sees all that was committed before the call.
  absl::Status Run(absl::FunctionRef<absl::Status(Database&)> query);

 private:
  Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_CONNECTIONS_H_
