#include "server/pipeline/runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/log_scope.h"

namespace mfn::pipeline {
namespace {

std::string SourceIdentity(const registry::Instance& source) {
  return absl::StrCat(source.config().type, "/", source.name());
}

}  // namespace

Runner::Runner(Parts parts)
    : parts_(std::move(parts)),
      made_(parts_.clock->Now()),
      processor_(parts_.config.processor, parts_.config.name, SourceIdentity(*parts_.source),
                 parts_.limits),
      queue_(parts_.pool->AddQueue(parts_.config.workers)) {
  MakeWriters();
}

Runner::~Runner() { Stop(); }

void Runner::MakeWriters() {
  const LogScope scope(LogFieldsOf({{"pipeline", parts_.config.name}}));  // for their threads
  int gating = 0;
  for (size_t k = 0; k < parts_.sinks.size(); ++k) {
    const bool at_most_once = parts_.sinks[k]->config().delivery == DeliveryGuarantee::kAtMostOnce;
    if (parts_.config.sinks[k].required && !at_most_once) ++gating;
  }
  tracker_ = std::make_unique<AckTracker>(&ledger_, static_cast<int>(parts_.sinks.size()), gating,
                                          [this] { WakeLoop(); });
  MakeDeadLetters();
  for (size_t k = 0; k < parts_.sinks.size(); ++k) {
    sinks_.push_back(MakeSink(parts_.sinks[k], parts_.config.sinks[k]));
  }
  if (parts_.errors != nullptr) errors_ = MakeSink(parts_.errors, SinkRef());
}

void Runner::MakeDeadLetters() {
  DeadLetterWriter::Options options;
  options.pipeline = parts_.config.name;
  options.store = parts_.store;
  options.publisher = parts_.dead_letters;
  options.max_optional = static_cast<size_t>(std::max(1, parts_.config.max_in_flight_records));
  options.clock = parts_.clock;
  options.tuning = parts_.tuning;
  options.stepped = parts_.stepped;
  DeadLetterWriter::Events events;
  events.kept = [this](const Casualty& casualty) { Kept(casualty); };
  events.lost = [this](const Casualty& casualty) {
    tracker_->Settle(casualty.item, casualty.gating, Account::kDropped, "shutdown");
  };
  events.parked = [this](const ItemPtr& item) { OnParked(item); };
  events.unparked = [this](const ItemPtr& item) { OnUnparked(item); };
  events.trouble = [this](const std::string& text) { SetTrouble(text); };
  dead_letters_ = std::make_unique<DeadLetterWriter>(std::move(options), std::move(events));
}

std::unique_ptr<SinkWriter> Runner::MakeSink(const std::shared_ptr<registry::Instance>& instance,
                                             const SinkRef& reference) {
  SinkWriter::Options options;
  options.required = reference.required;
  options.simulated =
      parts_.config.processor == ProcessorKind::kSimulate || instance == parts_.errors;
  options.max_unflushed = std::max<size_t>(
      1, static_cast<size_t>(std::max(1, parts_.config.max_in_flight_records)) / 2);
  options.max_backlog = static_cast<size_t>(std::max(1, reference.queue_records));
  options.max_backlog_bytes = static_cast<uint64_t>(std::max<int64_t>(1, reference.queue_bytes));
  options.clock = parts_.clock;
  options.tuning = parts_.tuning;
  options.stepped = parts_.stepped;
  return std::make_unique<SinkWriter>(instance, options, this);
}

std::unique_ptr<SourceLoop> Runner::MakeLoop() {
  SourceLoop::Options options;
  options.pipeline = parts_.config.name;
  options.max_records = static_cast<uint64_t>(std::max(1, parts_.config.max_in_flight_records));
  options.max_bytes =
      static_cast<uint64_t>(std::max<int64_t>(1, parts_.config.max_in_flight_bytes));
  options.max_cost = static_cast<uint64_t>(std::max<int64_t>(1, parts_.config.max_in_flight_cost));
  if (parts_.config.processor == ProcessorKind::kPassthrough) options.max_cost = kNoBound;
  options.stepped = parts_.stepped;
  options.settle_bound = parts_.drain_timeout;
  options.clock = parts_.clock;
  options.tuning = parts_.tuning;
  SourceLoop::Hooks hooks;
  hooks.deliver = [this](registry::OwnedBatch batch) { return Deliver(std::move(batch)); };
  hooks.acked = [this](const std::vector<ItemPtr>& items, bool acked) { AfterAck(items, acked); };
  hooks.full = [this] {
    return std::any_of(sinks_.begin(), sinks_.end(), [](const auto& sink) {
      return sink->required() && sink->at_most_once() && sink->full();
    });
  };
  hooks.ending = [this](bool ending) {
    ending_ = ending;
    UpdateHurry();
  };
  hooks.held_up = [this](const std::string& why) {
    MutexLock lock(&state_mutex_);
    held_up_ = why;
  };
  return std::make_unique<SourceLoop>(parts_.source, tracker_.get(), std::move(options),
                                      std::move(hooks));
}

absl::Status Runner::Start() {
  MutexLock control(&control_);
  std::shared_ptr<SourceLoop> fresh;
  {
    MutexLock lock(&state_mutex_);
    if (state_ == PipelineState::kRunning) return absl::OkStatus();
    if (stopped_) {
      return absl::FailedPreconditionError(
          absl::StrCat("pipeline \"", parts_.config.name, "\" is being removed"));
    }
    if (state_ == PipelineState::kDraining) {
      return absl::FailedPreconditionError(
          absl::StrCat("pipeline \"", parts_.config.name, "\" is draining; start it afterwards"));
    }
    state_ = PipelineState::kRunning;
    error_.clear();
    held_up_.clear();
    if (loop_ == nullptr) loop_ = fresh = MakeLoop();
    loop_->SetPaused(false);
  }
  ending_ = false;
  ForSinks([](SinkWriter& sink) {
    sink.SetHurry(false);
    sink.Resume();
  });
  if (fresh == nullptr || parts_.stepped) return absl::OkStatus();
  if (reader_.joinable()) reader_.join();  // of the run before, which is over
  reader_ = std::thread([this, fresh] {
    const LogScope scope(LogFieldsOf({{"pipeline", parts_.config.name}}));
    const SourceLoop::End end = fresh->Run();
    EndRun(fresh.get(), end);
  });
  return absl::OkStatus();
}

void Runner::EndRun(SourceLoop* loop, SourceLoop::End end) {
  MutexLock lock(&state_mutex_);
  earlier_.records_read += loop->counts().records_read;
  earlier_.records_acked += loop->counts().records_acked;
  held_up_.clear();
  state_ = end == SourceLoop::End::kSourceEnded    ? PipelineState::kFinished
           : end == SourceLoop::End::kSourceFailed ? PipelineState::kFailed
                                                   : PipelineState::kStopped;
  if (end == SourceLoop::End::kSourceFailed) error_ = loop->error();
  loop_ = nullptr;
  state_changed_.NotifyAll();
}

absl::Status Runner::Pause() {
  MutexLock lock(&state_mutex_);
  if (state_ == PipelineState::kPaused) return absl::OkStatus();
  if (state_ != PipelineState::kRunning || loop_ == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("pipeline \"", parts_.config.name, "\" is not running"));
  }
  state_ = PipelineState::kPaused;
  loop_->SetPaused(true);
  return absl::OkStatus();
}

absl::Status Runner::Drain(absl::Duration bound) {
  MutexLock control(&control_);
  {
    MutexLock lock(&state_mutex_);
    if (loop_ != nullptr) {
      state_ = PipelineState::kDraining;
      loop_->Drain(bound);
    }
    if (parts_.stepped) return absl::OkStatus();
    const int64_t last =
        parts_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(bound + parts_.tuning.final_ack);
    while (loop_ != nullptr) {
      const int64_t left = last - parts_.clock->MonotonicNanos();
      if (left <= 0) loop_->Abort();
      state_changed_.WaitFor(&state_mutex_,
                             left > 0 ? absl::Nanoseconds(left) : absl::Milliseconds(100));
    }
  }
  if (reader_.joinable()) reader_.join();
  return absl::OkStatus();
}

void Runner::Stop() {
  {
    MutexLock lock(&state_mutex_);
    stopped_ = true;
  }
  (void)Drain(absl::ZeroDuration());
  if (parts_.stepped) AbortLoop();
  queue_->Close();
  for (const auto& sink : sinks_) sink->Stop();
  dead_letters_->Stop();  // after the publishers, whose last items may go there
  if (errors_ != nullptr) errors_->Stop();
}

void Runner::AbortLoop() {
  std::shared_ptr<SourceLoop> loop;
  {
    MutexLock lock(&state_mutex_);
    loop = loop_;
  }
  if (loop != nullptr) loop->Abort();
  while (StepReader()) {
  }
}

bool Runner::StepReader() {
  std::shared_ptr<SourceLoop> loop;
  {
    MutexLock lock(&state_mutex_);
    loop = loop_;
  }
  if (loop == nullptr) return false;
  if (const std::optional<SourceLoop::End> end = loop->Step()) EndRun(loop.get(), *end);
  return true;
}

bool Runner::StepWorker(size_t index, WorkerPool::Arena& arena) {
  return queue_->RunOne(index, arena);
}

bool Runner::StepSink(size_t index) {
  if (index < sinks_.size()) return sinks_[index]->Step();
  return errors_ != nullptr && errors_->Step();
}

bool Runner::StepDeadLetters() { return dead_letters_->Step(); }

PipelineStatus Runner::Status() const {
  PipelineStatus status;
  status.counts = ledger_.Snapshot();
  status.replayed = replayed_;
  status.simulate_seconds = 1e-9 * static_cast<double>(simulate_nanos_.load());
  const AckTracker::Span span = tracker_->span();
  status.in_flight_records = span.records;
  status.in_flight_bytes = span.bytes;
  status.in_flight_cost = span.cost;
  ForSinks([&status](SinkWriter& sink) { status.sinks.push_back(sink.status()); });
  // A store in trouble shows elsewhere.
  if (const auto letters = parts_.store->Stats(parts_.config.name); letters.ok()) {
    status.dead_letters = letters->count;
    status.dead_letter_bytes = letters->bytes;
    if (letters->count > 0) {
      status.oldest_dead_letter =
          std::max(absl::ZeroDuration(), parts_.clock->Now() - letters->oldest);
    }
  }
  MutexLock lock(&state_mutex_);
  status.state = state_;
  status.error = !error_.empty() ? error_ : !trouble_.empty() ? trouble_ : held_up_;
  status.records_read = earlier_.records_read;
  status.records_acked = earlier_.records_acked;
  if (loop_ != nullptr) {
    const SourceLoop::Counts counts = loop_->counts();
    status.records_read += counts.records_read;
    status.records_acked += counts.records_acked;
  }
  return status;
}

uint64_t Runner::Deliver(registry::OwnedBatch batch) {
  Intake intake = processor_.Decode(std::move(batch));
  processing_ += static_cast<int64_t>(intake.items.size());
  uint64_t dearest = 0;
  for (const RecordBatch::Record& record : intake.batch->records) {
    dearest = std::max(dearest, record.cost);
  }
  tracker_->Add(intake.batch, intake.items);
  for (ItemPtr& item : intake.items) {
    // Neither a copy nor a fault is worth a worker.
    if (processor_.kind() == ProcessorKind::kPassthrough || !item->fault.ok()) {
      Work(item, nullptr);
    } else {
      queue_->Push(
          [this, item = std::move(item)](WorkerPool::Arena& arena) { Work(item, arena.get()); });
    }
  }
  return dearest;
}

void Runner::Work(const ItemPtr& item, engine::Simulation* arena) {
  double seconds = 0;
  const absl::Status made = item->returned ? absl::CancelledError("returned")
                                           : processor_.Process(item.get(), arena, &seconds);
  simulate_nanos_ += static_cast<int64_t>(seconds * 1e9);
  if (made.ok()) {
    for (size_t k = 0; k < sinks_.size(); ++k) {
      if (!sinks_[k]->at_most_once()) Offer(k, item);
    }
    tracker_->Settle(item, /*gating=*/true, Account::kDelivered);
  } else if (!item->returned) {
    Casualty casualty;
    casualty.item = item;
    casualty.code = absl::StatusCodeToString(made.code());
    casualty.reason = ReasonOf(made);
    casualty.message = std::string(made.message());
    casualty.field = FieldOf(made);
    casualty.attempts = 1;
    Bury(std::move(casualty));
  }
  if (--processing_ == 0 && ending_) UpdateHurry();
}

void Runner::Offer(size_t sink, const ItemPtr& item) {
  const SinkWriter& writer = *sinks_[sink];
  if (sinks_[sink]->Put(item)) return;
  if (writer.at_most_once() || parts_.config.sinks[sink].overflow == OverflowPolicy::kDrop) {
    tracker_->Settle(item, writer.gating(), Account::kDropped, "overflow");
    return;
  }
  Casualty casualty;
  casualty.item = item;
  casualty.sink = writer.name();
  casualty.gating = writer.gating();
  casualty.code = "RESOURCE_EXHAUSTED";
  casualty.reason = "QUEUE_OVERFLOW";
  casualty.message =
      absl::StrCat("the queue of optional publisher \"", writer.name(), "\" is full");
  Bury(std::move(casualty));
}

void Runner::Bury(Casualty casualty) {
  const ItemPtr item = casualty.item;
  const bool gating = casualty.gating;
  if (dead_letters_->Put(std::move(casualty))) return;
  tracker_->Settle(item, gating, Account::kDropped, "overflow");
}

void Runner::Kept(const Casualty& casualty) {
  // An optional publisher's refusal is no failure of the request.
  if (errors_ == nullptr || !casualty.gating || casualty.item->answered.exchange(true)) {
    return SettleBuried(casualty);
  }
  auto envelope = std::make_shared<Item>();
  envelope->record_id = casualty.item->record_id;
  envelope->index = casualty.item->index;
  envelope->key = casualty.item->key;
  envelope->request_id = casualty.item->request_id;
  envelope->has_partition_key = casualty.item->has_partition_key;
  envelope->partition_key = casualty.item->partition_key;
  envelope->time_unix_ns = casualty.item->time_unix_ns;
  envelope->attributes = casualty.item->attributes;
  envelope->output.payload = ToJson(ErrorEnvelope(casualty));
  envelope->about = casualty.item;
  Casualty rest = casualty;
  envelope->after = [this, rest = std::move(rest)] { SettleBuried(rest); };
  errors_->Put(envelope);
}

void Runner::SettleBuried(const Casualty& casualty) {
  if (casualty.sink.empty()) {
    tracker_->SettleAll(casualty.item, Account::kDeadLettered);
  } else {
    tracker_->Settle(casualty.item, casualty.gating, Account::kDeadLettered);
  }
}

void Runner::AfterAck(const std::vector<ItemPtr>& items, bool acked) {
  for (const ItemPtr& item : items) {
    for (size_t k = 0; k < sinks_.size(); ++k) {
      if (!sinks_[k]->at_most_once()) continue;
      if (acked) {
        Offer(k, item);
      } else {  // the source gives it again: writing now could be twice
        tracker_->Settle(item, false, Account::kDropped, "ack_failed");
      }
    }
  }
}

void Runner::UpdateHurry() {
  const bool hurry = ending_ && processing_ == 0;
  ForSinks([hurry](SinkWriter& sink) { sink.SetHurry(hurry); });
}

void Runner::WakeLoop() {
  std::shared_ptr<SourceLoop> loop;
  {
    MutexLock lock(&state_mutex_);
    loop = loop_;
  }
  if (loop != nullptr) loop->Wake();
}

void Runner::SetTrouble(const std::string& text) {
  MutexLock lock(&state_mutex_);
  trouble_ = text;
}

void Runner::OnDelivered(const SinkWriter& sink, const ItemPtr& item) {
  if (item->about != nullptr) return item->after();
  tracker_->Settle(item, sink.gating(), Account::kDelivered);
}

void Runner::OnParked(const ItemPtr& item) {
  tracker_->Park(item->about != nullptr ? item->about : item);
}

void Runner::OnUnparked(const ItemPtr& item) {
  tracker_->Unpark(item->about != nullptr ? item->about : item);
}

void Runner::OnRefused(const SinkWriter& sink, const ItemPtr& item,
                       const registry::Failure& failure, int attempts) {
  if (item->about != nullptr) {  // its dead letter is kept all the same
    Log(LogLevel::kError, "pipeline", "an error envelope was refused",
        {{"pipeline", parts_.config.name}, {"publisher", sink.name()}, {"error", failure.message}});
    return item->after();
  }
  Casualty casualty;
  casualty.item = item;
  casualty.sink = sink.name();
  casualty.gating = sink.gating();
  casualty.code = std::string(registry::CodeName(failure.code));
  casualty.reason = failure.reason.empty() ? casualty.code : failure.reason;
  casualty.message = failure.message.empty()
                         ? absl::StrCat("publisher \"", sink.name(), "\" refused the record")
                         : failure.message;
  casualty.field = failure.field;
  casualty.attempts = attempts;
  Bury(std::move(casualty));
}

void Runner::OnDropped(const SinkWriter& sink, const ItemPtr& item, const char* cause) {
  if (item->about != nullptr) return item->after();
  tracker_->Settle(item, sink.gating(), Account::kDropped, cause);
}

void Runner::OnAlarm(const SinkWriter& sink, const std::string& message) {
  Log(LogLevel::kError, "pipeline", "paused: a publisher refuses everything",
      {{"pipeline", parts_.config.name}, {"publisher", sink.name()}, {"error", message}});
  MutexLock lock(&state_mutex_);
  error_ = message;
  if (state_ != PipelineState::kRunning || loop_ == nullptr) return;
  state_ = PipelineState::kPaused;
  loop_->SetPaused(true);
}

}  // namespace mfn::pipeline
