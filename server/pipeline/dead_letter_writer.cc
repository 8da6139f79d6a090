#include "server/pipeline/dead_letter_writer.h"

#include <algorithm>
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

DeadLetterWriter::DeadLetterWriter(Options options, Events events)
    : options_(std::move(options)), events_(std::move(events)) {
  thread_ = std::thread([this, about = LogScope::Current()] {
    const LogScope scope(about);
    Run();
  });
}

DeadLetterWriter::~DeadLetterWriter() { Stop(); }

void DeadLetterWriter::Put(Casualty casualty) {
  MutexLock lock(&mutex_);
  queue_.push_back(std::move(casualty));
  changed_.NotifyOne();
}

void DeadLetterWriter::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyOne();
  }
  stop_.Cancel();
  if (thread_.joinable()) thread_.join();
}

bool DeadLetterWriter::Take(std::vector<Casualty>* batch) {
  batch->clear();
  MutexLock lock(&mutex_);
  while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
  if (stopping_) return false;
  while (!queue_.empty() && batch->size() < kMaxBatch) {
    // A record that was given back comes again, with all its faults.
    if (!queue_.front().item->returned) batch->push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return true;
}

void DeadLetterWriter::Run() {
  std::vector<Casualty> batch;
  while (Take(&batch)) {
    if (batch.empty()) continue;
    absl::Status kept = Keep(batch);
    absl::Duration pause = options_.tuning.park_initial;
    if (!kept.ok()) {
      for (const Casualty& casualty : batch) events_.parked(casualty.item);
    }
    const bool parked = !kept.ok();
    while (!kept.ok()) {
      events_.trouble(absl::StrCat("dead letters cannot be kept: ", kept.message()));
      Log(LogLevel::kError, "pipeline", "dead letters cannot be kept, their items are parked",
          {{"pipeline", options_.pipeline}, {"error", kept.ToString()}});
      if (stop_.token().WaitFor(pause)) return;
      pause = std::min(pause * 2, options_.tuning.park_max);
      kept = Keep(batch);
    }
    if (parked) events_.trouble("");
    for (const Casualty& casualty : batch) {
      if (parked) events_.unparked(casualty.item);
      events_.kept(casualty);
    }
  }
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
    letters.push_back(std::move(letter));
  }
  return letters.empty() ? absl::OkStatus() : options_.store->Add(letters);
}

absl::Status DeadLetterWriter::Publish(const std::vector<Casualty>& batch) {
  auto outgoing = std::make_shared<OutgoingBatch>(/*simulated=*/true);
  for (const Casualty& casualty : batch) {
    outgoing->Add(
        casualty.item, Envelope(casualty),
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

std::string DeadLetterWriter::Envelope(const Casualty& casualty) const {
  mfn::v1::SimulationResult result;
  result.set_request_id(casualty.item->request_id);
  result.set_status(mfn::v1::SimulationResult::STATUS_ERROR);
  result.set_idempotency_key(casualty.item->key);
  result.set_engine_revision(kEngineRevision.data(), kEngineRevision.size());
  result.mutable_error()->set_code(casualty.code);
  result.mutable_error()->set_reason(casualty.reason);
  result.mutable_error()->set_message(casualty.message);
  result.mutable_error()->set_field(casualty.field);
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
  std::string json = ToJson(result);
  json.pop_back();  // the closing brace
  return absl::StrCat(json, ",\"dead_letter\":", letter.dump(), "}");
}

}  // namespace mfn::pipeline
