#include "server/pipeline/sink_writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/log_scope.h"
#include "server/pipeline/outgoing.h"

namespace mfn::pipeline {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr size_t kMaxBatchBytes = size_t{16} << 20;

// The endpoint, not the record, is at fault; trying again can help.
bool EndpointFault(mfn_code code) {
  return code == MFN_RETRYABLE || code == MFN_THROTTLED || code == MFN_AUTH ||
         code == MFN_NOT_CONNECTED || code == MFN_CANCELLED;
}

}  // namespace

SinkWriter::SinkWriter(std::shared_ptr<registry::Instance> instance, const Options& options,
                       SinkEvents* events)
    : instance_(std::move(instance)),
      name_(instance_->name()),
      at_most_once_(instance_->config().delivery == DeliveryGuarantee::kAtMostOnce),
      deferred_(instance_->deferred()),
      batch_size_(std::max(1, instance_->config().batch_size)),
      options_(options),
      events_(events),
      batch_limit_(batch_size_),
      pause_(options.tuning.park_initial) {
  if (options_.stepped) return;
  const int threads = deferred_ ? 1 : std::clamp(instance_->max_in_flight(), 1, kMaxThreads);
  for (int k = 0; k < threads; ++k) {
    threads_.emplace_back([this, about = LogScope::Current()] {
      const LogScope scope(about);
      Run();
    });
  }
}

SinkWriter::~SinkWriter() { Stop(); }

SinkWriter::Entry SinkWriter::Enter(const ItemPtr& item) {
  Entry entry;
  entry.item = item;
  entry.bytes = item->payload().size();
  entry.since = options_.clock->MonotonicNanos();
  ++backlog_;
  backlog_bytes_ += entry.bytes;
  return entry;
}

void SinkWriter::Leave(const Entry& entry) {
  --backlog_;
  backlog_bytes_ -= entry.bytes;
}

bool SinkWriter::Put(const ItemPtr& item) {
  MutexLock lock(&mutex_);
  if (!options_.required && full()) return false;
  fresh_.push_back(Enter(item));
  // The first starts the batch's clock, a full batch ends it; in between nobody need wake.
  if (fresh_.size() == 1 || fresh_.size() >= batch_limit_) changed_.NotifyOne();
  return true;
}

void SinkWriter::Replay(const ItemPtr& item, Done done) {
  {
    MutexLock lock(&mutex_);
    if (!held_ && !stopping_) {
      replays_.push_back(Enter(item));
      replays_.back().done = std::move(done);
      changed_.NotifyOne();
      return;
    }
  }
  done(absl::FailedPreconditionError(absl::StrCat(
      "publisher \"", name_, "\" refuses everything; correct it and start the pipeline again")));
}

void SinkWriter::SetHurry(bool hurry) {
  MutexLock lock(&mutex_);
  hurry_ = hurry;
  changed_.NotifyAll();
}

void SinkWriter::Resume() {
  MutexLock lock(&mutex_);
  held_ = false;
  refusals_ = 0;
  not_before_ = 0;
  changed_.NotifyAll();
}

void SinkWriter::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  stop_.Cancel();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  DropRest();
}

SinkStatus SinkWriter::status() const {
  MutexLock lock(&mutex_);
  return {name_, options_.required, held_, backlog_.load(), backlog_bytes_.load()};
}

void SinkWriter::Run() {
  while (Await()) Step();
}

bool SinkWriter::Await() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const int64_t delay = Delay(options_.clock->MonotonicNanos());
    if (delay == 0) return true;
    if (delay == kForever) {
      changed_.Wait(&mutex_);
    } else {
      changed_.WaitFor(&mutex_, absl::Nanoseconds(delay));
    }
  }
  return false;
}

bool SinkWriter::Step() {
  std::vector<Entry> batch;
  {
    MutexLock lock(&mutex_);
    const int64_t now = options_.clock->MonotonicNanos();
    if (stopping_ || Delay(now) > 0) return false;
    TakeBatch(now, &batch);
    if (threads_.size() > 1 && Delay(now) == 0) changed_.NotifyOne();  // more than one batch
  }
  // What the source has got back is no longer ours to deliver.
  const auto gone = std::stable_partition(batch.begin(), batch.end(), [](const Entry& entry) {
    return entry.done || !entry.item->gone();
  });
  for (auto entry = gone; entry != batch.end(); ++entry) Leave(*entry);
  batch.erase(gone, batch.end());
  if (!batch.empty()) Present(std::move(batch));
  bool flush = false;
  {
    MutexLock lock(&mutex_);
    flush = FlushDue(options_.clock->MonotonicNanos());
  }
  if (flush) Flush();
  return true;
}

int64_t SinkWriter::Delay(int64_t now) {
  if (!replays_.empty()) return 0;
  int64_t at = kForever;
  if (!unflushed_.empty()) {
    if (FlushDue(now)) return 0;
    at = std::max(not_before_,
                  unflushed_.front().since + absl::ToInt64Nanoseconds(options_.tuning.flush_age));
  }
  if (held_) return at == kForever ? at : std::max<int64_t>(0, at - now);
  int64_t work = kForever;
  for (const Entry& entry : parked_) work = std::min(work, entry.not_before);
  if (!fresh_.empty()) {
    const bool ready = hurry_ || fresh_.size() >= batch_limit_ || !parked_.empty();
    const int64_t filled =
        fresh_.front().since + absl::ToInt64Nanoseconds(instance_->config().batch_timeout);
    work = std::min(work, ready ? now : filled);
  }
  if (work != kForever) at = std::min(at, std::max(work, not_before_));
  return at == kForever ? at : std::max<int64_t>(0, at - now);
}

void SinkWriter::TakeBatch(int64_t now, std::vector<Entry>* batch) {
  if (!replays_.empty()) {
    batch->push_back(std::move(replays_.front()));
    replays_.pop_front();
    return;
  }
  if (held_ || now < not_before_) return;
  size_t bytes = 0;
  const size_t limit = batch_limit_;
  const auto take = [&](std::deque<Entry>* from) {
    for (size_t k = from->size(); k > 0 && batch->size() < limit; --k) {
      Entry entry = std::move(from->front());
      from->pop_front();
      if (entry.parked && entry.not_before > now) {  // not its turn
        from->push_back(std::move(entry));
        continue;
      }
      bytes += entry.item->payload().size();
      batch->push_back(std::move(entry));
      if (bytes >= kMaxBatchBytes) return;
    }
  };
  // In turn, so that with one record at a time neither starves the other.
  parked_turn_ = !parked_turn_;
  take(parked_turn_ ? &parked_ : &fresh_);
  if (bytes < kMaxBatchBytes) take(parked_turn_ ? &fresh_ : &parked_);
}

bool SinkWriter::FlushDue(int64_t now) {
  if (unflushed_.empty() || now < not_before_) return false;
  if (unflushed_.size() >= options_.max_unflushed) return true;
  const bool drained = fresh_.empty() && parked_.empty() && replays_.empty();
  const bool awaited = unflushed_.back().done != nullptr;  // a replay's caller waits
  if ((hurry_ || awaited) && drained) return true;
  return now - unflushed_.front().since >= absl::ToInt64Nanoseconds(options_.tuning.flush_age);
}

void SinkWriter::Present(std::vector<Entry> batch) {
  bool again = false;
  for (Entry& entry : batch) {
    if (!entry.parked) continue;
    entry.parked = false;
    again = true;
    events_->OnUnparked(entry.item);
  }
  auto outgoing = std::make_shared<OutgoingBatch>(options_.simulated);
  for (const Entry& entry : batch) outgoing->Add(entry.item);
  registry::SharedRecords records = Share(std::move(outgoing));
  records.presented_again = again;
  const registry::WriteResult result = instance_->Write(records, stop_.token());

  std::vector<const registry::Failure*> failures(batch.size(), &result.failure);
  for (const registry::WriteResult::Record& record : result.failed) {
    if (record.index < failures.size()) failures[record.index] = &record.failure;
  }
  const size_t good = std::count_if(failures.begin(), failures.end(),
                                    [](const registry::Failure* failure) { return failure->ok(); });
  {
    MutexLock lock(&mutex_);
    if (good > 0) {
      successes_ += good;
      refusals_ = 0;
      pause_ = options_.tuning.park_initial;
      batch_limit_ = std::min(batch_size_, batch_limit_ * 2);
    }
  }
  if (good == 0 && EndpointFault(result.failure.code)) PauseAfter(result.failure);
  const bool alone = batch.size() == 1;
  for (size_t k = 0; k < batch.size(); ++k) {
    if (failures[k]->ok()) {
      batch[k].epoch = result.epoch;
      Succeeded(std::move(batch[k]));
    } else {
      Failed(std::move(batch[k]), *failures[k], alone || failures[k] != &result.failure);
    }
  }
}

void SinkWriter::Succeeded(Entry entry) {
  if (deferred_) {
    entry.since = options_.clock->MonotonicNanos();
    MutexLock lock(&mutex_);
    unflushed_.push_back(std::move(entry));
    return;
  }
  Leave(entry);
  if (entry.done) return entry.done(absl::OkStatus());
  events_->OnDelivered(*this, entry.item);
}

void SinkWriter::Failed(Entry entry, const registry::Failure& failure, bool alone) {
  entry.attempts += failure.attempts;
  if (entry.done) {
    Leave(entry);
    return entry.done(registry::ToStatus(failure, name_));
  }
  if (at_most_once_) {
    Leave(entry);
    events_->OnDropped(*this, entry.item, "at_most_once");
    return;
  }
  if (EndpointFault(failure.code)) return Park(std::move(entry), failure);
  if (alone) return Refuse(std::move(entry), failure);
  // The whole batch was refused: one by one shows which records it was.
  MutexLock lock(&mutex_);
  batch_limit_ = 1;
  fresh_.push_front(std::move(entry));
}

void SinkWriter::Refuse(Entry entry, const registry::Failure& failure) {
  bool hold = false;
  {
    MutexLock lock(&mutex_);
    hold = ++refusals_ >= options_.tuning.permanent_alarm;
  }
  if (hold) {
    Hold(failure);
    return Park(std::move(entry), failure);
  }
  Leave(entry);
  events_->OnRefused(*this, entry.item, failure, entry.attempts);
}

void SinkWriter::Park(Entry entry, const registry::Failure& failure) {
  const int64_t now = options_.clock->MonotonicNanos();
  bool worn_out = false;
  {
    MutexLock lock(&mutex_);
    // Only a round in which others got through says that it is this item.
    if (entry.seen && successes_ > entry.seen_successes) ++entry.rounds;
    entry.seen = true;
    entry.seen_successes = successes_;
    worn_out = entry.rounds >= options_.tuning.max_rounds;
  }
  if (worn_out) {
    Leave(entry);
    events_->OnRefused(*this, entry.item, failure, entry.attempts);
    return;
  }
  const absl::Duration own = std::min(
      options_.tuning.park_max, options_.tuning.park_initial * (1 << std::min(entry.rounds, 6)));
  entry.not_before = now + absl::ToInt64Nanoseconds(std::max(own, failure.retry_after));
  entry.parked = true;
  events_->OnParked(entry.item);
  MutexLock lock(&mutex_);
  parked_.push_back(std::move(entry));
}

void SinkWriter::PauseAfter(const registry::Failure& failure) {
  absl::Duration pause;
  {
    MutexLock lock(&mutex_);
    pause = std::max(pause_, failure.retry_after);
    pause_ = std::min(pause_ * 2, options_.tuning.park_max);
    not_before_ = options_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(pause);
    batch_limit_ = 1;
  }
  Log(LogLevel::kWarning, "pipeline", "publisher fails, its items are parked",
      {{"publisher", name_},
       {"reason", failure.reason},
       {"error", failure.message},
       {"again_in", absl::FormatDuration(pause)}});
}

void SinkWriter::Hold(const registry::Failure& failure) {
  {
    MutexLock lock(&mutex_);
    if (held_) return;
    held_ = true;
  }
  events_->OnAlarm(
      *this, absl::StrCat("publisher \"", name_, "\" refused ", options_.tuning.permanent_alarm,
                          " records in a row (", failure.reason, ": ", failure.message,
                          "); correct it and start the pipeline again"));
}

void SinkWriter::Flush() {
  std::vector<Entry> entries;
  {
    MutexLock lock(&mutex_);
    entries.swap(unflushed_);
  }
  uint64_t epoch = UINT64_MAX;
  for (const Entry& entry : entries) epoch = std::min(epoch, entry.epoch);
  const registry::Failure failure = instance_->Flush(epoch, stop_.token());
  if (failure.ok()) {
    for (Entry& entry : entries) {
      Leave(entry);
      if (entry.done) {
        entry.done(absl::OkStatus());
      } else {
        events_->OnDelivered(*this, entry.item);
      }
    }
    return;
  }
  // All of it must be written again; that no single record is to blame also holds for PERMANENT.
  PauseAfter(failure);
  if (!EndpointFault(failure.code)) Hold(failure);
  registry::Failure again = failure;
  again.code = MFN_RETRYABLE;
  for (Entry& entry : entries) Failed(std::move(entry), again, false);
}

void SinkWriter::DropRest() {
  std::vector<Entry> rest;
  {
    MutexLock lock(&mutex_);
    for (std::deque<Entry>* queue : {&fresh_, &parked_, &replays_}) {
      for (Entry& entry : *queue) rest.push_back(std::move(entry));
      queue->clear();
    }
    for (Entry& entry : unflushed_) rest.push_back(std::move(entry));
    unflushed_.clear();
  }
  for (Entry& entry : rest) {
    Leave(entry);
    if (entry.done) {
      entry.done(absl::CancelledError("the pipeline ends"));
    } else {
      events_->OnDropped(*this, entry.item, "shutdown");
    }
  }
}

}  // namespace mfn::pipeline
