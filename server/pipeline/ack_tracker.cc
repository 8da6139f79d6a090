#include "server/pipeline/ack_tracker.h"

#include <algorithm>
#include <utility>

namespace mfn::pipeline {
namespace {

// The worst outcome of an item's parties is the item's own.
int Severity(Account account) {
  return account == Account::kDeadLettered ? 2 : account == Account::kDropped ? 1 : 0;
}

}  // namespace

AckTracker::AckTracker(ConservationLedger* ledger, int sinks, int gating_sinks,
                       std::function<void()> ready)
    : ledger_(ledger),
      sinks_(sinks),
      gating_sinks_(gating_sinks),
      ready_callback_(std::move(ready)) {}

AckTracker::~AckTracker() {
  MutexLock lock(&mutex_);
  for (auto& [lane, batches] : lanes_) {
    for (const BatchPtr& batch : batches) {
      for (RecordBatch::Record& record : batch->records) record.items.clear();
    }
  }
}

void AckTracker::Add(const BatchPtr& batch, const std::vector<ItemPtr>& items) {
  {
    MutexLock lock(&mutex_);
    ledger_->Receive(items.size());
    unfinished_ += items.size();
    for (const ItemPtr& item : items) {
      item->tracked.pending = sinks_ + 1;
      item->tracked.gating = gating_sinks_ + 1;
      RecordBatch::Record& record = batch->records[item->record];
      record.items.push_back(item);
      ++record.unsettled;
    }
    batch->unsettled = 0;
    for (const RecordBatch::Record& record : batch->records) {
      bytes_ += record.bytes;
      cost_ += record.cost;
      if (record.unsettled > 0) ++batch->unsettled;
    }
    records_ += batch->records.size();
    lanes_[batch->lane].push_back(batch);
    if (batch->unsettled > 0) return;
    MakeReady(batch);
  }
  ready_callback_();
}

void AckTracker::Settle(const ItemPtr& item, bool gating, Account outcome,
                        absl::string_view cause) {
  {
    MutexLock lock(&mutex_);
    SettleLocked(item, 1, gating ? 1 : 0, outcome, cause);
  }
  ready_callback_();
}

void AckTracker::SettleAll(const ItemPtr& item, Account outcome, absl::string_view cause) {
  {
    MutexLock lock(&mutex_);
    SettleLocked(item, item->tracked.pending, item->tracked.gating, outcome, cause);
  }
  ready_callback_();
}

void AckTracker::SettleLocked(const ItemPtr& item, int parties, int gating, Account outcome,
                              absl::string_view cause) {
  Item::Tracked& tracked = item->tracked;
  if (tracked.final) return;
  if (Severity(outcome) > Severity(tracked.worst)) {
    tracked.worst = outcome;
    tracked.cause = std::string(cause);
  }
  RecordBatch::Record& record = item->batch->records[item->record];
  if (outcome == Account::kDeadLettered && gating > 0) record.outcome = MFN_PERMANENT;
  tracked.pending -= parties;
  const bool settles = tracked.gating > 0 && tracked.gating == gating;
  tracked.gating -= gating;
  if (tracked.pending == 0) Finish(item.get(), tracked.worst, tracked.cause);
  if (settles && --record.unsettled == 0) RecordSettled(item->batch);
}

void AckTracker::Finish(Item* item, Account account, absl::string_view cause) {
  item->tracked.final = true;
  ledger_->Move(item->tracked.account, account, 1, cause);
  item->tracked.account = account;
  --unfinished_;
}

void AckTracker::RecordSettled(const BatchPtr& batch) {
  if (--batch->unsettled > 0) return;
  MakeReady(batch);
}

void AckTracker::MakeReady(const BatchPtr& settled) {
  const auto push = [this](const BatchPtr& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (batch->acking) return;
    batch->acking = true;
    ReadyAck ack{batch, {}};
    ack.outcomes.reserve(batch->records.size());
    for (const RecordBatch::Record& record : batch->records) ack.outcomes.push_back(record.outcome);
    ready_.push_back(std::move(ack));
  };
  if (settled->unordered) {
    push(settled);
    return;
  }
  for (const BatchPtr& batch : lanes_[settled->lane]) {
    if (batch->unsettled > 0) return;
    push(batch);
  }
}

void AckTracker::Park(const ItemPtr& item) {
  MutexLock lock(&mutex_);
  if (item->tracked.final || item->tracked.parked++ > 0) return;
  ledger_->Move(Account::kInFlight, Account::kParked, 1);
  item->tracked.account = Account::kParked;
}

void AckTracker::Unpark(const ItemPtr& item) {
  MutexLock lock(&mutex_);
  if (item->tracked.final || item->tracked.parked == 0 || --item->tracked.parked > 0) return;
  ledger_->Move(Account::kParked, Account::kInFlight, 1);
  item->tracked.account = Account::kInFlight;
}

std::optional<ReadyAck> AckTracker::TakeReady() {
  MutexLock lock(&mutex_);
  if (ready_.empty()) return std::nullopt;
  ReadyAck ack = std::move(ready_.front());
  ready_.pop_front();
  return ack;
}

void AckTracker::AckFailed(ReadyAck ack) {
  MutexLock lock(&mutex_);
  ready_.push_front(std::move(ack));
}

std::vector<ItemPtr> AckTracker::Acked(const ReadyAck& ack) {
  std::vector<ItemPtr> waiting;
  {
    MutexLock lock(&mutex_);
    const auto lane = lanes_.find(ack.batch->lane);
    if (lane == lanes_.end()) return waiting;
    std::deque<BatchPtr>& batches = lane->second;
    batches.erase(std::remove(batches.begin(), batches.end(), ack.batch), batches.end());
    if (batches.empty()) lanes_.erase(lane);
    records_ -= ack.batch->records.size();
    for (RecordBatch::Record& record : ack.batch->records) {
      bytes_ -= record.bytes;
      cost_ -= record.cost;
      for (ItemPtr& item : record.items) {
        if (!item->tracked.final) waiting.push_back(std::move(item));
      }
      record.items.clear();
    }
  }
  ready_callback_();
  return waiting;
}

void AckTracker::ReturnBatch(const BatchPtr& batch) {
  if (batch->acking) return;
  for (RecordBatch::Record& record : batch->records) {
    if (record.unsettled == 0) continue;
    record.outcome = MFN_RETRYABLE;
    record.unsettled = 0;
    for (const ItemPtr& item : record.items) {
      item->returned = true;
      if (!item->tracked.final) Finish(item.get(), Account::kReturned, "");
    }
  }
  batch->unsettled = 0;
}

void AckTracker::ReturnLane(uint64_t lane, bool lost) {
  {
    MutexLock lock(&mutex_);
    const auto found = lanes_.find(lane);
    if (found == lanes_.end()) return;
    const std::deque<BatchPtr> batches = found->second;
    for (const BatchPtr& batch : batches) {
      batch->lost = batch->lost || lost;
      ReturnBatch(batch);
    }
    for (const BatchPtr& batch : batches) MakeReady(batch);
  }
  ready_callback_();
}

void AckTracker::ReturnAll() {
  std::vector<uint64_t> lanes;
  {
    MutexLock lock(&mutex_);
    for (const auto& [lane, batches] : lanes_) lanes.push_back(lane);
  }
  for (const uint64_t lane : lanes) ReturnLane(lane);
}

AckTracker::Span AckTracker::span() const {
  MutexLock lock(&mutex_);
  return {records_, bytes_, cost_, unfinished_, !ready_.empty()};
}

bool AckTracker::LaneIdle(uint64_t lane) const {
  MutexLock lock(&mutex_);
  return lanes_.find(lane) == lanes_.end();
}

}  // namespace mfn::pipeline
