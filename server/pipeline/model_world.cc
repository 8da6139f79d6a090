#include "server/pipeline/model_world.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/idempotency.h"

namespace mfn::pipeline {
namespace {

constexpr size_t kErrorsOff = 1000;

struct Memory {
  std::deque<std::string> texts;
  std::deque<std::vector<mfn_kv>> attributes;
  std::vector<mfn_record> records;
};

void Release(mfn_batch* batch) { delete static_cast<Memory*>(batch->private_data); }

}  // namespace

ModelWorld::ModelWorld(uint64_t seed) : meanwhile([] {}), random_(seed) {
  config_.name = "main";
  config_.source = "in";
  kind = config_.processor = Chance(0.15) ? ProcessorKind::kSimulate : ProcessorKind::kPassthrough;
  config_.max_in_flight_records = 1 + Pick(60);
  config_.max_in_flight_cost = Chance(0.5) ? 200 : 1 << 20;
  const int count = 1 + Pick(3);
  for (int k = 0; k < count; ++k) {
    Sink sink;
    sink.name = absl::StrCat("out", k);
    sink.required = k == 0 || Chance(0.6);
    sink.at_most_once = Chance(0.2);
    sink.deferred = !sink.at_most_once && Chance(0.3);
    sink.max_in_flight = Chance(0.3) ? 3 : 1;
    SinkRef reference;
    reference.publisher = sink.name;
    reference.required = sink.required;
    reference.queue_records = 1 + Pick(30);
    reference.overflow = Chance(0.5) ? OverflowPolicy::kDeadLetter : OverflowPolicy::kDrop;
    config_.sinks.push_back(reference);
    sinks.push_back(std::move(sink));
  }
  letter_sink = Chance(0.2);
  if (letter_sink) sinks.push_back(Sink());
  if (letter_sink) sinks.back().name = "letters";
  errors = Chance(0.4);
  if (errors) sinks.push_back(Sink());
  if (errors) sinks.back().name = "errors";
  for (int k = 0; k < 1 + Pick(4); ++k) NewLane(Chance(0.3));
}

uint64_t ModelWorld::NewLane(bool unordered) {
  lanes_[next_lane_].unordered = unordered;
  return next_lane_++;
}

void ModelWorld::Kill() {
  *alive_ = false;
  for (Sink& sink : sinks) {
    sink.unflushed.clear();
    sink.refusals = 0;
  }
  events_.clear();
  std::vector<uint64_t> old;
  for (const auto& [lane, unused] : lanes_) old.push_back(lane);
  for (const uint64_t lane : old) {
    if (lanes_[lane].lost) {  // reassigned already
      lanes_.erase(lane);
    } else {
      Reassign(lane);
    }
  }
  unacked_.clear();
  unacked_records_ = 0;
}

// The lane's records come again under another one, the unacked first.
void ModelWorld::Reassign(uint64_t lane) {
  Lane& from = lanes_[lane];
  std::vector<std::string> again;
  for (const uint64_t ack : from.order) {
    for (const std::string& record : unacked_[ack].records) again.push_back(record);
  }
  again.insert(again.end(), from.waiting.begin(), from.waiting.end());
  const bool unordered = from.unordered;
  from.waiting.clear();
  if (from.order.empty()) lanes_.erase(lane);
  const uint64_t to = NewLane(unordered);
  lanes_[to].waiting.assign(again.begin(), again.end());
  if (*alive_) return;
  lanes_.erase(lane);
}

// The source that is made in its stead knows nothing of lanes and batches of the one before, whose
// acks are refused, and gives their records again.
void ModelWorld::ReplaceSource() {
  events_.clear();
  std::vector<uint64_t> old;
  for (const auto& [id, lane] : lanes_) {
    if (!lane.lost) old.push_back(id);
  }
  for (const uint64_t lane : old) {
    lanes_[lane].revoked = false;
    lanes_[lane].disturbed = lanes_[lane].lost = lanes_[lane].replaced = true;
    Reassign(lane);
  }
}

void ModelWorld::ReplaceInstance() {
  const size_t which = static_cast<size_t>(Pick(static_cast<int>(sinks.size()) + 1));
  if (which == sinks.size()) return ReplaceSource();
  ++sinks[which].epoch;
  for (Sink::Unflushed& entry : sinks[which].unflushed) entry.lost = true;
}

void ModelWorld::Feed() {
  ModelRecord record;
  record.id = absl::StrCat("r", records_.size());
  record.unreadable = Chance(0.02);
  record.payload = absl::StrCat("payload of ", record.id);
  if (kind == ProcessorKind::kSimulate) {
    record.items = record.unreadable ? 1 : 1 + Pick(3);
    record.payload = "[";
    for (int k = 0; k < record.items; ++k) {
      const bool bad = Chance(0.1);
      record.bad.push_back(bad);
      absl::StrAppend(&record.payload, k > 0 ? "," : "", R"({"seed":1,"steps":1,"grid_size":)",
                      bad ? 1 : 4, "}");
    }
    record.payload += "]";
  }
  if (record.unreadable || record.bad.empty()) record.bad.assign(1, record.unreadable);
  for (int k = 0; k < record.items; ++k) record_of_[KeyOf(record.id, k)] = record.id;
  std::vector<uint64_t> open;
  for (const auto& [id, lane] : lanes_) {
    if (!lane.revoked && !lane.lost) open.push_back(id);
  }
  const uint64_t lane = open.empty()
                            ? NewLane(false)
                            : open[static_cast<size_t>(Pick(static_cast<int>(open.size())))];
  lanes_[lane].waiting.push_back(record.id);
  records_[record.id] = std::move(record);
}

void ModelWorld::DisturbLane() {
  for (auto& [id, lane] : lanes_) {
    if (lane.disturbed || !Chance(0.4)) continue;
    lane.disturbed = true;
    const bool lost = Chance(0.5);
    if (!lost) lane.revoked = true;
    events_.push_back({id, lost ? MFN_LANE_LOST : MFN_LANE_REVOKED});
    return;
  }
}

void ModelWorld::ChangeWeather() {
  if (Chance(0.2)) source_trouble_ = Chance(0.5) ? 0.3 : 0;
  if (Chance(0.2)) store_full_ = !store_full_;
  Sink& sink = sinks[static_cast<size_t>(Pick(static_cast<int>(sinks.size())))];
  const double troubles[] = {0, 0, 0.3, 1};
  sink.trouble = troubles[Pick(4)];
  const mfn_code codes[] = {MFN_RETRYABLE, MFN_THROTTLED, MFN_NOT_CONNECTED, MFN_AUTH,
                            MFN_PERMANENT};
  sink.code = codes[Pick(sink.name == "errors" ? 4 : 5)];
}

void ModelWorld::Heal() {
  source_trouble_ = 0;
  store_full_ = false;
  for (Sink& sink : sinks) sink.trouble = 0;
}

bool ModelWorld::quiet() const {
  if (!unacked_.empty() || !events_.empty()) return false;
  return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) {
    return lane.second.waiting.empty() && !lane.second.revoked;
  });
}

const store::DeadLetter* ModelWorld::AnyLetter() {
  if (letters_.empty()) return nullptr;
  return &std::next(letters_.begin(), Pick(static_cast<int>(letters_.size())))->second;
}

bool ModelWorld::RemoveLetter(int64_t id) { return letters_.erase(id) > 0; }

void ModelWorld::Violation(const std::string& text) {
  if (violations.size() < kErrorsOff) violations.push_back(text);
}

std::string ModelWorld::KeyOf(const std::string& record, int item) const {
  return IdempotencyKey("main", "/in", record, item);
}

registry::ReadResult ModelWorld::Read(uint64_t max_records) {
  registry::ReadResult result;
  last_read = clock.MonotonicNanos();
  read_failed = Chance(source_trouble_);
  if (read_failed) {
    result.failure = Fault(Chance(0.5) ? MFN_RETRYABLE : MFN_NOT_CONNECTED);
    return result;
  }
  if (!events_.empty()) {
    const auto [lane, flag] = events_.front();
    events_.pop_front();
    mfn_batch event = {};
    event.lane = lane;
    event.flags = flag;
    result.batch = registry::OwnedBatch(event, nullptr);
    const auto known = lanes_.find(lane);
    if (known == lanes_.end()) return result;
    for (const uint64_t ack : known->second.order) oracle.MayReturn(ack);
    if (flag == MFN_LANE_LOST) {
      known->second.lost = true;
      Reassign(lane);
    }
    return result;
  }
  std::vector<uint64_t> ready;
  for (const auto& [id, lane] : lanes_) {
    if (!lane.waiting.empty() && !lane.revoked && !lane.lost) ready.push_back(id);
  }
  if (max_records == 0 || ready.empty()) return result;
  return Give(ready[static_cast<size_t>(Pick(static_cast<int>(ready.size())))], max_records);
}

registry::ReadResult ModelWorld::Give(uint64_t id, uint64_t max_records) {
  Lane& lane = lanes_[id];
  auto memory = std::make_unique<Memory>();
  Batch given;
  given.lane = id;
  const size_t most = std::min<size_t>(max_records, static_cast<size_t>(1 + Pick(8)));
  while (!lane.waiting.empty() && given.records.size() < most) {
    const ModelRecord& from = records_[lane.waiting.front()];
    lane.waiting.pop_front();
    mfn_record record = {};
    record.id = Bytes(memory->texts.emplace_back(from.id));
    record.payload = Bytes(memory->texts.emplace_back(from.payload));
    record.time_unix_ns = MFN_TIME_ABSENT;
    std::vector<mfn_kv>& attributes = memory->attributes.emplace_back();
    attributes.push_back(
        {Bytes(kBatch), Bytes(memory->texts.emplace_back(absl::StrCat(next_ack_)))});
    if (from.unreadable) attributes.push_back({Bytes(MFN_ATTR_ERROR), Bytes("too large")});
    record.attrs = attributes.data();
    record.n_attrs = attributes.size();
    memory->records.push_back(record);
    given.records.push_back(from.id);
    const std::vector<ModelOracle::ItemId> items = ItemsOf(next_ack_, from);
    for (size_t k = 0; k < items.size(); ++k) {
      oracle.Given(items[k], from.bad[k], /*alone=*/items.size() == 1,
                   /*processed=*/kind == ProcessorKind::kPassthrough);
    }
    ++records_read;
  }
  mfn_batch batch = {};
  batch.lane = id;
  batch.flags = lane.unordered ? MFN_LANE_UNORDERED : 0;
  batch.records = memory->records.data();
  batch.n_records = memory->records.size();
  batch.ack_id = next_ack_++;
  batch.release = Release;
  batch.private_data = memory.release();
  unacked_records_ += given.records.size();
  if (unacked_records_ > static_cast<uint64_t>(config_.max_in_flight_records)) {
    Violation(absl::StrCat(unacked_records_, " records are unacked"));
  }
  lane.order.push_back(batch.ack_id);
  unacked_[batch.ack_id] = std::move(given);
  registry::ReadResult result;
  result.batch = registry::OwnedBatch(batch, nullptr);
  return result;
}

registry::Failure ModelWorld::Ack(uint64_t ack_id, absl::Span<const mfn_code> outcomes) {
  if (Chance(source_trouble_)) return Fault(MFN_RETRYABLE);
  const auto found = unacked_.find(ack_id);
  if (found == unacked_.end()) {
    Violation(absl::StrCat("batch ", ack_id, " is acked twice"));
    return Fault(MFN_PERMANENT);
  }
  const Batch batch = std::move(found->second);
  unacked_.erase(found);
  unacked_records_ -= batch.records.size();
  Lane& lane = lanes_[batch.lane];
  if (!lane.unordered && lane.order.front() != ack_id) {
    Violation(
        absl::StrCat("lane ", batch.lane, ": ", ack_id, " is acked before ", lane.order.front()));
  }
  lane.order.erase(std::find(lane.order.begin(), lane.order.end(), ack_id));
  if (!outcomes.empty() && outcomes.size() != batch.records.size()) {
    Violation("an ack has too few or too many outcomes");
    return {};
  }
  const bool lost = lane.lost, replaced = lane.replaced;
  const bool refused = replaced || (!lost && Chance(source_trouble_ / 10));
  const registry::Failure answer = refused ? Fault(MFN_PERMANENT) : registry::Failure();
  for (size_t k = 0; k < batch.records.size(); ++k) {
    oracle.Acked(ItemsOf(ack_id, records_[batch.records[k]]),
                 outcomes.empty() ? MFN_OK : outcomes[k], !refused && !lost);
  }
  if (!refused && !lost) records_acked += batch.records.size();
  if (lost) {  // its records have been given to another already
    if (lane.order.empty()) lanes_.erase(batch.lane);
    return answer;
  }
  std::vector<std::string> again;
  for (size_t k = 0; k < batch.records.size(); ++k) {
    const mfn_code outcome = outcomes.empty() ? MFN_OK : outcomes[k];
    if (outcome == MFN_RETRYABLE || refused) {
      again.push_back(batch.records[k]);
      continue;
    }
    CheckAck(records_[batch.records[k]], outcome);
    settled_[batch.records[k]] = outcome;
  }
  lane.waiting.insert(lane.waiting.begin(), again.begin(), again.end());
  return answer;
}

void ModelWorld::CheckAck(const ModelRecord& record, mfn_code outcome) {
  if (settled_.count(record.id) > 0) Violation(record.id + " is settled a second time");
  bool any = false;
  for (int k = 0; k < record.items; ++k) {
    const std::string key = KeyOf(record.id, k);
    bool failed = lettered_.count({key, ""}) > 0;
    if (!failed) {
      for (const Sink& sink : sinks) {
        if (!sink.gating() || sink.name == "errors" || sink.name == "letters") continue;
        if (sink.durable.count(key) > 0) continue;
        failed = lettered_.count({key, sink.name}) > 0;
        if (!failed) {
          Violation(
              absl::StrCat(record.id, "[", k, "] is acked ", outcome, " and lost for ", sink.name));
        }
      }
    }
    any = any || failed;
    if (failed && errors && sinks.back().durable.count(key) == 0) {
      Violation(absl::StrCat(record.id, "[", k, "] failed and its requester was not told"));
    }
  }
  if (outcome != MFN_OK && outcome != MFN_PERMANENT) Violation("an ack of another kind");
  if (outcome == MFN_OK && any) Violation(record.id + " failed and is acked OK");
}

registry::Failure ModelWorld::Released(uint64_t id) {
  const auto lane = lanes_.find(id);
  if (lane == lanes_.end() || lane->second.replaced) return {};
  if (!lane->second.order.empty()) Violation("a lane is released with unacked batches");
  Reassign(id);
  return {};
}

}  // namespace mfn::pipeline
