// ModelWorld, second part: what its publishers do, and what the oracle is told of it.
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/model_world.h"

namespace mfn::pipeline {
namespace {

std::string AttributeOf(const mfn_record& record, absl::string_view name) {
  for (uint64_t k = 0; k < record.n_attrs; ++k) {
    if (View(record.attrs[k].key) == name) return std::string(View(record.attrs[k].value));
  }
  return "";
}

// Whether a publisher refuses the item for good: some do, for ever.
bool Poisoned(absl::string_view key, absl::string_view sink) {
  return std::hash<std::string>()(absl::StrCat(key, sink)) % 37 == 0;
}

}  // namespace

uint64_t ModelWorld::BatchOf(const store::DeadLetter& letter) {
  for (const auto& [name, value] : letter.attributes) {
    uint64_t batch = 0;
    if (name == kBatch && absl::SimpleAtoi(value, &batch)) return batch;
  }
  return 0;
}

ModelOracle::ItemId ModelWorld::IdOf(const mfn_record& record) const {
  uint64_t batch = 0;
  (void)absl::SimpleAtoi(AttributeOf(record, kBatch), &batch);
  return {batch, std::string(View(record.id))};
}

std::vector<ModelOracle::ItemId> ModelWorld::ItemsOf(uint64_t ack,
                                                     const ModelRecord& record) const {
  std::vector<ModelOracle::ItemId> items;
  for (int k = 0; k < record.items; ++k) items.push_back({ack, KeyOf(record.id, k)});
  return items;
}

registry::WriteResult ModelWorld::Write(Sink* sink, absl::Span<const mfn_record> records) {
  registry::WriteResult result;
  const bool down = sink->trouble >= 1;
  result.epoch = sink->epoch;
  if (down || Chance(sink->trouble / 2)) {
    result.failure = Fault(sink->code);
    if (Chance(0.2)) result.failure.retry_after = absl::Milliseconds(Pick(300));
  }
  std::vector<registry::Failure> outcomes;
  for (size_t k = 0; k < records.size(); ++k) {
    const std::string key(View(records[k].id));
    const bool service = sink->name == "errors" || sink->name == "letters";
    registry::Failure own = result.failure;
    if (own.ok() && !service && Poisoned(key, sink->name)) own = Fault(MFN_PERMANENT, "POISON");
    if (own.ok() && Chance(sink->trouble / 4)) own = Fault(sink->code);
    outcomes.push_back(own);
    if (!own.ok()) {
      if (result.failure.ok()) result.failed.push_back({k, own});
      continue;
    }
    sink->refusals = 0;
    std::string entry = key;
    if (sink->name == "letters") {
      absl::StrAppend(&entry, " ", AttributeOf(records[k], "mfn-dead-letter-sink"));
    }
    if (!sink->deferred) {
      Commit(sink, entry);
      continue;
    }
    const ModelOracle::ItemId id = IdOf(records[k]);
    sink->unflushed.push_back({id, entry, oracle.IsReplay(id, sink->name)});
  }
  const bool alone = records.size() == 1 || result.failure.ok();
  for (size_t k = 0; k < records.size(); ++k) TellOracle(sink, records[k], outcomes[k], alone);
  if (sink->name == "letters") LettersTried(records, result);
  return result;
}

void ModelWorld::TellOracle(Sink* sink, const mfn_record& record, const registry::Failure& own,
                            bool alone) {
  const ModelOracle::ItemId id = IdOf(record);
  if (sink->name == "letters") return;
  if (sink->name == "errors") return oracle.Told(id, own.ok());
  if (oracle.IsReplay(id, sink->name)) return;
  if (own.ok()) return oracle.Taken(id, sink->name, !sink->deferred);
  ModelOracle::Failure failure = ModelOracle::Failure::kEndpoint;
  if (own.code == MFN_PERMANENT && !alone) failure = ModelOracle::Failure::kBatch;
  if (own.code == MFN_PERMANENT && alone) {
    // Several calls at once are not judged in the order in which they are answered.
    const bool sure = ++sink->refusals < Tuning().permanent_alarm && sink->max_in_flight == 1;
    failure = sure ? ModelOracle::Failure::kRefused : ModelOracle::Failure::kMayHold;
  }
  oracle.Failed(id, sink->name, failure);
}

// What the publisher of letters refuses goes to the store, before any of the batch counts as kept.
void ModelWorld::LettersTried(absl::Span<const mfn_record> records,
                              const registry::WriteResult& result) {
  tried_.clear();
  for (const mfn_record& record : records) {
    tried_.emplace_back(IdOf(record), AttributeOf(record, "mfn-dead-letter-sink"));
  }
  const auto endpoint = [](const registry::Failure& failure) {
    return !failure.ok() && failure.code != MFN_PERMANENT;
  };
  bool parked = endpoint(result.failure);
  for (const auto& failed : result.failed) parked = parked || endpoint(failed.failure);
  if (parked) {
    LettersSettled(/*kept=*/false);
  } else if (result.failure.ok() && result.failed.empty()) {
    LettersSettled(/*kept=*/true);
  }
}

void ModelWorld::LettersSettled(bool kept) {
  for (const auto& [id, sink] : tried_) {
    kept ? oracle.LetterKept(id, sink) : oracle.LetterParked(id, sink);
  }
}

registry::Failure ModelWorld::Flush(Sink* sink, uint64_t epoch) {
  std::vector<Sink::Unflushed> entries;
  entries.swap(sink->unflushed);
  const bool failed = Chance(sink->trouble);  // what it held is gone
  const bool refused = failed || epoch < sink->epoch;
  for (const Sink::Unflushed& entry : entries) {
    if (!failed && !entry.lost) Commit(sink, entry.entry);
    if (entry.replay) continue;
    if (refused) {
      oracle.Failed(entry.id, sink->name, ModelOracle::Failure::kEndpoint);
    } else {
      oracle.Taken(entry.id, sink->name, /*durable=*/true);
    }
  }
  if (failed) ++sink->epoch;
  return refused ? Fault(failed ? sink->code : MFN_RETRYABLE) : registry::Failure();
}

void ModelWorld::Commit(Sink* sink, const std::string& entry) {
  const int times = ++sink->durable[entry];
  const std::string key = entry.substr(0, 32);
  const auto record = record_of_.find(key);
  if (record == record_of_.end()) return Violation("an item of no record is written");
  if (sink->name == "letters") {
    lettered_.insert({key, entry.substr(33)});
    return;
  }
  if (!sink->at_most_once) return;
  if (times > 1) Violation(absl::StrCat(sink->name, " is given ", record->second, " twice"));
  if (settled_.count(record->second) == 0) {
    Violation(absl::StrCat(sink->name, " is given ", record->second, " before its ack"));
  }
}

}  // namespace mfn::pipeline
