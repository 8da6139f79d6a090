#include "server/pipeline/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mfn::pipeline {

registry::Failure Fault(mfn_code code, std::string reason, std::string message) {
  registry::Failure failure;
  failure.code = code;
  failure.reason = std::move(reason);
  failure.message = std::move(message);
  failure.attempts = 1;
  return failure;
}

registry::ReadResult TestInstance::Read(uint64_t, uint64_t, absl::Duration, const Cancellation&) {
  registry::ReadResult result;
  result.failure = Fault(MFN_UNSUPPORTED);
  return result;
}
registry::Failure TestInstance::Ack(const registry::OwnedBatch&, absl::Span<const mfn_code>,
                                    const Cancellation&) {
  return Fault(MFN_UNSUPPORTED);
}
registry::Failure TestInstance::LaneReleased(uint64_t, const Cancellation&) {
  return Fault(MFN_UNSUPPORTED);
}
registry::WriteResult TestInstance::Write(const registry::SharedRecords&, const Cancellation&) {
  return {Fault(MFN_UNSUPPORTED), {}};
}
registry::Failure TestInstance::Flush(uint64_t, const Cancellation&) {
  return Fault(MFN_UNSUPPORTED);
}
registry::ReadResult TestInstance::Execute(const registry::SharedRecords&, bool,
                                           const Cancellation&) {
  registry::ReadResult result;
  result.failure = Fault(MFN_UNSUPPORTED);
  return result;
}

void TestSource::Feed(uint64_t lane, const std::string& id, const std::string& payload) {
  MutexLock lock(&mutex_);
  waiting_.push_back({lane, id, payload, 0});
  changed_.NotifyAll();
}

void TestSource::FeedEvent(uint64_t lane, uint64_t flags) {
  MutexLock lock(&mutex_);
  waiting_.push_back({lane, "", "", flags});
  changed_.NotifyAll();
}

void TestSource::End() {
  MutexLock lock(&mutex_);
  end_ = true;
  changed_.NotifyAll();
}

void TestSource::FailReads(std::vector<registry::Failure> failures) {
  MutexLock lock(&mutex_);
  read_faults_.assign(failures.begin(), failures.end());
}

void TestSource::FailAcks(std::vector<registry::Failure> failures) {
  MutexLock lock(&mutex_);
  ack_faults_.assign(failures.begin(), failures.end());
}

namespace {

// The memory behind one batch.
struct BatchMemory {
  std::deque<std::string> texts;
  std::vector<mfn_record> records;
  std::atomic<int>* alive;
};

void ReleaseBatch(mfn_batch* batch) {
  auto* memory = static_cast<BatchMemory*>(batch->private_data);
  --*memory->alive;
  delete memory;
}

}  // namespace

registry::ReadResult TestSource::Read(uint64_t max_records, uint64_t, absl::Duration wait,
                                      const Cancellation&) {
  registry::ReadResult result;
  MutexLock lock(&mutex_);
  if (!read_faults_.empty()) {
    result.failure = read_faults_.front();
    read_faults_.pop_front();
    return result;
  }
  if (max_records == 0) ++keep_alives_;
  if (waiting_.empty() && !end_ && max_records > 0) changed_.WaitFor(&mutex_, wait);
  mfn_batch batch = {};
  batch.flags = flags_;
  if (!waiting_.empty() && waiting_.front().event != 0) {
    batch.lane = waiting_.front().lane;
    batch.flags = waiting_.front().event;
    waiting_.pop_front();
    result.batch = registry::OwnedBatch(batch, nullptr);
    return result;
  }
  Batch given;
  auto* memory = new BatchMemory{{}, {}, &alive_};
  ++alive_;
  while (!waiting_.empty() && waiting_.front().event == 0 && given.records.size() < max_records &&
         given.records.size() < 7 &&
         (given.records.empty() || waiting_.front().lane == given.lane)) {
    given.lane = waiting_.front().lane;
    given.records.push_back(waiting_.front());
    waiting_.pop_front();
    mfn_record record = {};
    record.id = Bytes(memory->texts.emplace_back(given.records.back().id));
    record.payload = Bytes(memory->texts.emplace_back(given.records.back().payload));
    record.time_unix_ns = MFN_TIME_ABSENT;
    memory->records.push_back(record);
  }
  result.end = end_ && waiting_.empty() && max_records > 0;
  batch.lane = given.lane;
  batch.records = memory->records.data();
  batch.n_records = memory->records.size();
  batch.release = ReleaseBatch;
  batch.private_data = memory;
  if (!given.records.empty()) {
    batch.ack_id = next_ack_++;
    records_unacked_ += given.records.size();
    most_ = std::max(most_, records_unacked_);
    order_[given.lane].push_back(batch.ack_id);
    unacked_[batch.ack_id] = std::move(given);
  }
  result.batch = registry::OwnedBatch(batch, nullptr);
  return result;
}

registry::Failure TestSource::Ack(const registry::OwnedBatch& acked,
                                  absl::Span<const mfn_code> outcomes, const Cancellation&) {
  const uint64_t ack_id = acked.ack_id();
  MutexLock lock(&mutex_);
  if (!ack_faults_.empty()) {
    const registry::Failure failure = ack_faults_.front();
    ack_faults_.pop_front();
    return failure;
  }
  const auto found = unacked_.find(ack_id);
  if (found == unacked_.end()) {
    violations_.push_back(absl::StrCat("batch ", ack_id, " is not waiting for an ack"));
    return Fault(MFN_PERMANENT);
  }
  Batch batch = std::move(found->second);
  unacked_.erase(found);
  std::deque<uint64_t>& order = order_[batch.lane];
  if (flags_ == 0 && order.front() != ack_id) {
    violations_.push_back(
        absl::StrCat("lane ", batch.lane, ": ", ack_id, " before ", order.front()));
  }
  order.erase(std::find(order.begin(), order.end(), ack_id));
  if (!outcomes.empty() && outcomes.size() != batch.records.size()) {
    violations_.push_back(absl::StrCat(outcomes.size(), " outcomes for batch ", ack_id));
  }
  records_unacked_ -= batch.records.size();
  for (size_t k = 0; k < batch.records.size(); ++k) {
    const mfn_code outcome = outcomes.empty() ? MFN_OK : outcomes[k];
    acked_[batch.records[k].id] = outcome;
    if (outcome == MFN_RETRYABLE) waiting_.push_back(batch.records[k]);
  }
  return {};
}

registry::Failure TestSource::LaneReleased(uint64_t lane, const Cancellation&) {
  MutexLock lock(&mutex_);
  if (!order_[lane].empty()) violations_.push_back("a lane was released with unacked batches");
  released_.push_back(lane);
  return {};
}

std::vector<std::string> TestSource::violations() const {
  MutexLock lock(&mutex_);
  return violations_;
}
std::map<std::string, mfn_code> TestSource::acked() const {
  MutexLock lock(&mutex_);
  return acked_;
}
uint64_t TestSource::unacked() const {
  MutexLock lock(&mutex_);
  return records_unacked_;
}
uint64_t TestSource::most_unacked() const {
  MutexLock lock(&mutex_);
  return most_;
}
uint64_t TestSource::keep_alives() const {
  MutexLock lock(&mutex_);
  return keep_alives_;
}
std::vector<uint64_t> TestSource::released_lanes() const {
  MutexLock lock(&mutex_);
  return released_;
}

TestSink::TestSink(const std::string& name) : TestInstance(name) {
  mutable_config().role = InstanceRole::kPublisher;
  mutable_config().batch_size = 8;
  mutable_config().batch_timeout = absl::Milliseconds(2);
}

void TestSink::SetAnswer(Answer answer) {
  MutexLock lock(&mutex_);
  answer_ = std::move(answer);
}

void TestSink::SetFlushAnswer(std::function<registry::Failure()> answer) {
  MutexLock lock(&mutex_);
  flush_answer_ = std::move(answer);
}

registry::WriteResult TestSink::Write(const registry::SharedRecords& shared, const Cancellation&) {
  const absl::Span<const mfn_record> records = shared.records;
  Answer answer;
  {
    MutexLock lock(&mutex_);
    ++writes_;
    answer = answer_;
  }
  const registry::WriteResult result = answer ? answer(records) : registry::WriteResult{};
  std::vector<bool> good(records.size(), result.failure.ok());
  for (const auto& record : result.failed) good[record.index] = record.failure.ok();
  MutexLock lock(&mutex_);
  for (size_t k = 0; k < records.size(); ++k) {
    if (!good[k]) continue;
    Written written;
    written.key = std::string(View(records[k].id));
    written.payload = std::string(View(records[k].payload));
    for (uint64_t a = 0; a < records[k].n_attrs; ++a) {
      if (View(records[k].attrs[a].key) == "content-type") {
        written.content_type = std::string(View(records[k].attrs[a].value));
      }
    }
    (deferred_ ? unflushed_ : durable_).push_back(std::move(written));
  }
  return result;
}

registry::Failure TestSink::Flush(uint64_t, const Cancellation&) {
  std::function<registry::Failure()> answer;
  {
    MutexLock lock(&mutex_);
    answer = flush_answer_;
  }
  const registry::Failure failure = answer ? answer() : registry::Failure();
  MutexLock lock(&mutex_);
  if (failure.ok()) durable_.insert(durable_.end(), unflushed_.begin(), unflushed_.end());
  unflushed_.clear();
  return failure;
}

std::vector<TestSink::Written> TestSink::durable() const {
  MutexLock lock(&mutex_);
  return durable_;
}

size_t TestSink::distinct() const {
  std::set<std::string> keys;
  for (const Written& written : durable()) keys.insert(written.key);
  return keys.size();
}

uint64_t TestSink::writes() const {
  MutexLock lock(&mutex_);
  return writes_;
}

void GatedDeadLetters::SetGate(std::function<absl::Status()> gate) {
  MutexLock lock(&mutex_);
  gate_ = std::move(gate);
}

absl::Status GatedDeadLetters::Add(absl::Span<const store::DeadLetter> letters) {
  std::function<absl::Status()> gate;
  {
    MutexLock lock(&mutex_);
    gate = gate_;
  }
  if (gate) {
    if (absl::Status status = gate(); !status.ok()) return status;
  }
  return real_->Add(letters);
}

TestDirectory::TestDirectory() {
  std::string pattern = absl::StrCat(testing::TempDir(), "/mfn-pipeline-XXXXXX");
  path_ = mkdtemp(pattern.data());
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool Eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

Bench::Bench() {
  store = std::move(store::Store::Open(directory.path()).value());
  letters = std::make_unique<GatedDeadLetters>(&store->dead_letters());
  source = std::make_shared<TestSource>("in");
  parts.config.name = "main";
  parts.config.source = "in";
  parts.config.processor = ProcessorKind::kPassthrough;
  parts.source = source;
  parts.store = letters.get();
  parts.pool = &pool;
  parts.drain_timeout = absl::Seconds(20);
  parts.tuning.park_initial = absl::Milliseconds(1);
  parts.tuning.park_max = absl::Milliseconds(8);
  parts.tuning.flush_age = absl::Milliseconds(20);
  parts.tuning.read_wait_busy = absl::Milliseconds(1);
  parts.tuning.read_wait_idle = absl::Milliseconds(10);
  parts.tuning.keep_alive = absl::Milliseconds(5);
}

Bench::~Bench() {
  if (runner != nullptr) runner->Stop();
  EXPECT_THAT(source->violations(), testing::IsEmpty());
}

TestSink& Bench::AddSink(const std::string& name, bool required) {
  sinks.push_back(std::make_shared<TestSink>(name));
  parts.sinks.push_back(sinks.back());
  SinkRef reference;
  reference.publisher = name;
  reference.required = required;
  parts.config.sinks.push_back(reference);
  return *sinks.back();
}

Runner& Bench::Make() {
  runner = std::make_unique<Runner>(parts);
  return *runner;
}

bool Bench::Balanced(const Conservation& c) {
  uint64_t dropped = 0;
  for (const auto& [cause, count] : c.dropped_by_cause) dropped += count;
  return dropped == c.dropped && c.received == c.delivered + c.dead_lettered + c.dropped +
                                                   c.returned + c.parked + c.in_flight;
}

std::vector<store::DeadLetter> Bench::Letters() {
  return store->dead_letters().List(parts.config.name, 0, 1000)->letters;
}

}  // namespace mfn::pipeline
