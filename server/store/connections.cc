// Group commit and reading.
#include "server/store/connections.h"

namespace mfn::store {

// Whoever finds nobody committing commits everything that has been queued by then. The others wait
// for their own mutation, not for the database: one that is done leaves at once, though the next
// transaction may have begun.
absl::Status Writer::Run(Mutation mutation) {
  Waiting waiting{mutation, absl::OkStatus()};
  std::vector<Waiting*> batch;
  {
    MutexLock lock(&queue_mutex_);
    queue_.push_back(&waiting);
    while (committing_ && !waiting.done) committed_.Wait(&queue_mutex_);
    if (waiting.done) return waiting.status;
    committing_ = true;
    batch.swap(queue_);
  }
  {
    MutexLock lock(&database_mutex_);
    CommitAll(batch);
  }
  const absl::Status own = waiting.status;
  MutexLock lock(&queue_mutex_);
  committing_ = false;
  for (Waiting* each : batch) each->done = true;
  committed_.NotifyAll();
  return own;
}

size_t Writer::waiting() {
  MutexLock lock(&queue_mutex_);
  return queue_.size();
}

// One that cannot be committed (too big for the space left, say) must not fail its neighbours, so
// after a failure each has a transaction of its own.
void Writer::CommitAll(absl::Span<Waiting* const> batch) {
  const absl::Status together = CommitTogether(batch);
  if (together.ok()) return;
  for (Waiting* each : batch) {
    const absl::Status alone = batch.size() == 1 ? together : CommitTogether({&each, 1});
    if (!alone.ok()) each->status = alone;
  }
}

absl::Status Writer::CommitTogether(absl::Span<Waiting* const> batch) {
  absl::Status status = database_->Execute("BEGIN IMMEDIATE");
  for (size_t i = 0; status.ok() && i < batch.size(); ++i) status = Apply(*batch[i]);
  if (status.ok()) status = database_->Execute("COMMIT");
  // Some errors have already rolled everything back.
  if (!status.ok() && database_->in_transaction()) database_->Execute("ROLLBACK").IgnoreError();
  return status;
}

// OK means that the transaction can go on, whatever the mutation's own status.
absl::Status Writer::Apply(Waiting& waiting) {
  absl::Status status = database_->Execute("SAVEPOINT mutation");
  if (!status.ok()) return status;
  waiting.status = waiting.mutation(*database_);
  if (waiting.status.ok()) return database_->Execute("RELEASE mutation");
  if (!database_->in_transaction()) return waiting.status;
  status = database_->Execute("ROLLBACK TO mutation");
  if (!status.ok()) return status;
  return database_->Execute("RELEASE mutation");
}

absl::Status Reader::Run(absl::FunctionRef<absl::Status(Database&)> query) {
  MutexLock lock(&mutex_);
  return query(*database_);
}

}  // namespace mfn::store
