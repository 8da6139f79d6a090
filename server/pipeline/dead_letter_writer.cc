#include "server/pipeline/dead_letter_writer.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/log_scope.h"
#include "server/pipeline/outgoing.h"

namespace mfn::pipeline {
namespace {

constexpr size_t kMaxBatch = 100;
constexpr size_t kMaxBatchBytes = size_t{16} << 20;  // a batch is copied
constexpr size_t kMaxLoggedMessage = 500;

bool IsUtf8(absl::string_view text) {
  // The library's own check: dumping refuses what is not.
  try {
    nlohmann::json(std::string(text)).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace

mfn::v1::SimulationResult ErrorEnvelope(const Casualty& casualty) {
  mfn::v1::SimulationResult result;
  result.set_request_id(casualty.item->request_id);
  result.set_status(mfn::v1::SimulationResult::STATUS_ERROR);
  result.set_idempotency_key(casualty.item->key);
  result.set_engine_revision(kEngineRevision.data(), kEngineRevision.size());
  result.mutable_error()->set_code(casualty.code);
  result.mutable_error()->set_reason(casualty.reason);
  result.mutable_error()->set_message(casualty.message);
  result.mutable_error()->set_field(casualty.field);
  return result;
}

DeadLetterWriter::DeadLetterWriter(Options options, Events events)
    : options_(std::move(options)),
      events_(std::move(events)),
      pause_(options_.tuning.park_initial) {
  if (options_.stepped) return;
  thread_ = std::thread([this, about = LogScope::Current()] {
    const LogScope scope(about);
    Run();
  });
}

DeadLetterWriter::~DeadLetterWriter() { Stop(); }

bool DeadLetterWriter::Put(Casualty casualty) {
  MutexLock lock(&mutex_);
  if (!casualty.gating) {
    if (optional_ >= options_.max_optional) return false;
    ++optional_;
  }
  queue_.push_back(std::move(casualty));
  changed_.NotifyOne();
  return true;
}

void DeadLetterWriter::Stop() {
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
    stopping_ = stopped_ = true;
    changed_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
  // What is left has not been given back to the source: it is tried once more.
  while (Step() && !parked_) {
  }
  stop_.Cancel();
  std::deque<Casualty> rest;
  {
    MutexLock lock(&mutex_);
    rest.swap(queue_);
  }
  for (Casualty& casualty : batch_) rest.push_front(std::move(casualty));
  batch_.clear();
  for (const Casualty& casualty : rest) {
    if (!casualty.item->returned) events_.lost(casualty);
  }
}

int64_t DeadLetterWriter::DueAt() const {
  if (stopping_) return 0;
  return busy_ ? not_before_ : queue_.empty() ? std::numeric_limits<int64_t>::max() : 0;
}

void DeadLetterWriter::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      while (!stopping_) {
        const int64_t due = DueAt();
        const int64_t now = options_.clock->MonotonicNanos();
        if (due <= now) break;
        changed_.WaitFor(&mutex_, absl::Nanoseconds(due - now));
      }
      if (stopping_) return;
    }
    Step();
  }
}

bool DeadLetterWriter::Step() {
  {
    MutexLock lock(&mutex_);
    if (DueAt() > options_.clock->MonotonicNanos()) return false;
  }
  Gather();
  if (batch_.empty()) return false;
  KeepBatch();
  return true;
}

// Fills the batch if there is none; without what was given back to the source, which comes again
// with all its faults.
void DeadLetterWriter::Gather() {
  MutexLock lock(&mutex_);
  size_t bytes = 0;
  for (const Casualty& casualty : batch_) bytes += casualty.item->bytes.size();
  while (!parked_ && !queue_.empty() && batch_.size() < kMaxBatch && bytes < kMaxBatchBytes) {
    batch_.push_back(std::move(queue_.front()));
    queue_.pop_front();
    bytes += batch_.back().item->bytes.size();
  }
  for (size_t k = batch_.size(); k-- > 0;) {
    if (!batch_[k].item->returned) continue;
    if (!batch_[k].gating) --optional_;
    batch_.erase(batch_.begin() + static_cast<std::ptrdiff_t>(k));
  }
  busy_ = !batch_.empty();
  if (!busy_) parked_ = false;
}

void DeadLetterWriter::KeepBatch() {
  const absl::Status kept = Keep(batch_);
  if (!kept.ok()) {
    events_.trouble(absl::StrCat("dead letters cannot be kept: ", kept.message()));
    Log(LogLevel::kError, "pipeline", "dead letters cannot be kept, their items are parked",
        {{"pipeline", options_.pipeline}, {"error", kept.ToString()}});
    if (!parked_) {
      for (const Casualty& casualty : batch_) events_.parked(casualty.item);
    }
    parked_ = true;
    MutexLock lock(&mutex_);
    not_before_ = options_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(pause_);
    pause_ = std::min(pause_ * 2, options_.tuning.park_max);
    return;
  }
  pause_ = options_.tuning.park_initial;
  if (parked_) events_.trouble("");
  for (const Casualty& casualty : batch_) {
    if (parked_) events_.unparked(casualty.item);
    Tell(casualty);
    events_.kept(casualty);
  }
  const auto optional = std::count_if(batch_.begin(), batch_.end(),
                                      [](const Casualty& casualty) { return !casualty.gating; });
  batch_.clear();
  parked_ = false;
  MutexLock lock(&mutex_);
  optional_ -= static_cast<size_t>(optional);
  busy_ = false;
  not_before_ = 0;
}

void DeadLetterWriter::Tell(const Casualty& casualty) {
  const auto left_out = log_limit_.Pass(options_.clock->MonotonicNanos());
  if (!left_out) return;
  Log(LogLevel::kWarning, "pipeline", "an item is kept as a dead letter",
      {{"pipeline", options_.pipeline},
       {"request_id", casualty.item->request_id},
       {"record_id", casualty.item->record_id},
       {"item", absl::StrCat(casualty.item->index)},
       {"key", casualty.item->key},
       {"sink", casualty.sink},
       {"code", casualty.code},
       {"reason", casualty.reason},
       {"error", std::string(absl::ClippedSubstr(casualty.message, 0, kMaxLoggedMessage))},
       {"lines_left_out", absl::StrCat(*left_out)}});
}

absl::Status DeadLetterWriter::Keep(const std::vector<Casualty>& batch) {
  if (options_.publisher != nullptr) return Publish(batch);
  std::vector<const Casualty*> all;
  for (const Casualty& casualty : batch) all.push_back(&casualty);
  return Store(all);
}

absl::Status DeadLetterWriter::Store(const std::vector<const Casualty*>& batch) {
  std::vector<store::DeadLetter> letters;
  for (const Casualty* casualty : batch) {
    store::DeadLetter letter;
    letter.pipeline = options_.pipeline;
    letter.sink = casualty->sink;
    letter.idempotency_key = casualty->item->key;
    letter.record_id = casualty->item->record_id;
    letter.item_index = casualty->item->index;
    letter.payload = std::string(casualty->item->bytes);
    letter.attributes = casualty->item->attributes;
    letter.code = casualty->code;
    letter.reason = casualty->reason;
    letter.message = casualty->message;
    letter.attempts = casualty->attempts;
    letter.feature_digest = casualty->item->output.digest;
    letter.time = options_.clock->Now();
    if (casualty->item->has_partition_key) letter.record_key = casualty->item->partition_key;
    if (casualty->item->time_unix_ns != MFN_TIME_ABSENT) {
      letter.record_time = absl::FromUnixNanos(casualty->item->time_unix_ns);
    }
    letters.push_back(std::move(letter));
  }
  return letters.empty() ? absl::OkStatus() : options_.store->Add(letters);
}

absl::Status DeadLetterWriter::Publish(const std::vector<Casualty>& batch) {
  auto outgoing = std::make_shared<OutgoingBatch>(/*simulated=*/true);
  for (const Casualty& casualty : batch) {
    outgoing->Add(
        casualty.item, Letter(casualty),
        {{"mfn-dead-letter-reason", casualty.reason}, {"mfn-dead-letter-sink", casualty.sink}});
  }
  const registry::WriteResult result =
      options_.publisher->Write(Share(std::move(outgoing)), stop_.token());
  std::vector<const registry::Failure*> failures(batch.size(), &result.failure);
  for (const registry::WriteResult::Record& record : result.failed) {
    if (record.index < failures.size()) failures[record.index] = &record.failure;
  }
  std::vector<const Casualty*> refused;
  for (size_t k = 0; k < batch.size(); ++k) {
    const registry::Failure& failure = *failures[k];
    if (failure.ok()) continue;
    if (failure.code != MFN_PERMANENT && failure.code != MFN_UNSUPPORTED) {
      return registry::ToStatus(failure, options_.publisher->name());
    }
    refused.push_back(&batch[k]);
  }
  if (options_.publisher->deferred()) {
    const registry::Failure failure = options_.publisher->Flush(result.epoch, stop_.token());
    if (!failure.ok()) return registry::ToStatus(failure, options_.publisher->name());
  }
  return Store(refused);
}

std::string DeadLetterWriter::Letter(const Casualty& casualty) const {
  nlohmann::json letter = {{"pipeline", options_.pipeline},
                           {"sink", casualty.sink},
                           {"item_index", casualty.item->index},
                           {"attempts", casualty.attempts}};
  const std::string bytes(casualty.item->bytes);
  if (IsUtf8(bytes)) {
    letter["request"] = bytes;
  } else {
    letter["request_base64"] = absl::Base64Escape(bytes);
  }
  const std::string& id = casualty.item->record_id;
  letter["record_id"] = IsUtf8(id) ? id : absl::CHexEscape(id);
  std::string json = ToJson(ErrorEnvelope(casualty));
  json.pop_back();  // the closing brace
  return absl::StrCat(json, ",\"dead_letter\":", letter.dump(), "}");
}

}  // namespace mfn::pipeline
