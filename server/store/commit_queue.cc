// See commit_queue.h.
#include "server/store/commit_queue.h"

namespace mfn::store {
namespace {

constexpr size_t kMaxGroup = 256;
constexpr size_t kMaxGroupBytes = size_t{4} << 20;

}  // namespace

absl::Status CommitQueue::Write(size_t bytes, Work work) {
  Waiter self{.work = work, .bytes = bytes, .status = absl::OkStatus(), .wake = {}};
  std::vector<Waiter*> group;
  {
    MutexLock lock(&queue_mutex_);
    queue_.push_back(&self);
    while (!self.done && queue_.front() != &self) self.wake.Wait(&queue_mutex_);
    if (self.done) return self.status;
    group = TakeGroup();
  }
  Commit(group);
  MutexLock lock(&queue_mutex_);
  for (Waiter* waiter : group) {
    queue_.pop_front();
    waiter->done = true;
    waiter->wake.NotifyOne();
  }
  if (!queue_.empty()) queue_.front()->wake.NotifyOne();
  return self.status;
}

absl::Status CommitQueue::Read(Work work) {
  MutexLock lock(&database_mutex_);
  return work(*database_);
}

std::vector<CommitQueue::Waiter*> CommitQueue::TakeGroup() {
  std::vector<Waiter*> group;
  size_t bytes = 0;
  for (Waiter* waiter : queue_) {
    bytes += waiter->bytes;
    if (!group.empty() && (group.size() == kMaxGroup || bytes > kMaxGroupBytes)) break;
    group.push_back(waiter);
  }
  return group;
}

void CommitQueue::Commit(const std::vector<Waiter*>& group) {
  MutexLock lock(&database_mutex_);
  const absl::Status together = Transact(group);
  for (Waiter* waiter : group) {
    // One that fails must not fail its neighbours: each then has a transaction of its own.
    const bool alone = !together.ok() && group.size() > 1;
    waiter->status = alone ? Transact({waiter}) : together;
  }
}

absl::Status CommitQueue::Transact(const std::vector<Waiter*>& group) {
  absl::Status status = database_->Execute("BEGIN IMMEDIATE");
  for (Waiter* waiter : group) {
    if (status.ok()) status = waiter->work(*database_);
  }
  if (status.ok()) status = database_->Execute("COMMIT");
  if (status.ok()) {
    ++transactions_;
    return status;
  }
  // A full disk may have rolled it back already.
  if (database_->in_transaction()) (void)database_->Execute("ROLLBACK");
  return status;
}

int64_t CommitQueue::transactions() const {
  MutexLock lock(&database_mutex_);
  return transactions_;
}

size_t CommitQueue::waiting() const {
  MutexLock lock(&queue_mutex_);
  return queue_.size();
}

}  // namespace mfn::store
