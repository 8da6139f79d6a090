// What a pipeline sees of the model's world: instances and a store that end with the process.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/pipeline/model_world.h"

namespace mfn::pipeline {

class ModelSource final : public TestInstance {
 public:
  ModelSource(ModelWorld* world, std::shared_ptr<bool> alive)
      : TestInstance("in"), world_(world), alive_(std::move(alive)) {}
  bool has_source() const override { return true; }
  registry::ReadResult Read(uint64_t max_records, uint64_t, absl::Duration,
                            const Cancellation&) override {
    registry::ReadResult dead;
    dead.failure = Fault(MFN_CANCELLED);
    if (!*alive_) return dead;
    world_->meanwhile();
    return world_->Read(max_records);
  }
  registry::Failure Ack(const registry::OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
                        const Cancellation&) override {
    if (!*alive_) return Fault(MFN_PERMANENT);
    world_->meanwhile();
    return world_->Ack(batch.ack_id(), outcomes);
  }
  registry::Failure LaneReleased(uint64_t lane, const Cancellation&) override {
    return *alive_ ? world_->Released(lane) : Fault(MFN_PERMANENT);
  }

 private:
  ModelWorld* const world_;
  const std::shared_ptr<bool> alive_;
};

class ModelSink final : public TestInstance {
 public:
  ModelSink(ModelWorld* world, size_t index, std::shared_ptr<bool> alive)
      : TestInstance(world->sinks[index].name),
        world_(world),
        index_(index),
        alive_(std::move(alive)) {
    mutable_config().role = InstanceRole::kPublisher;
    mutable_config().batch_size = 1 + world->Pick(12);
    mutable_config().batch_timeout = absl::Milliseconds(world->Pick(20));
    if (sink().at_most_once) mutable_config().delivery = DeliveryGuarantee::kAtMostOnce;
  }
  bool has_sink() const override { return true; }
  bool deferred() const override { return sink().deferred; }
  int max_in_flight() const override { return sink().max_in_flight; }
  registry::WriteResult Write(const registry::SharedRecords& records,
                              const Cancellation&) override {
    if (!*alive_) return {Fault(MFN_CANCELLED), {}};
    world_->meanwhile();
    registry::WriteResult result = world_->Write(&sink(), records.records);
    world_->meanwhile();
    return result;
  }
  registry::Failure Flush(uint64_t epoch, const Cancellation&) override {
    if (!*alive_) return Fault(MFN_CANCELLED);
    registry::Failure failure = world_->Flush(&sink(), epoch);
    world_->meanwhile();
    return failure;
  }

 private:
  ModelWorld::Sink& sink() const { return world_->sinks[index_]; }
  ModelWorld* const world_;
  const size_t index_;
  const std::shared_ptr<bool> alive_;
};

// The letters in memory: SQLite has tests of its own, and a million steps would be a million syncs.
class ModelStore final : public store::DeadLetterStore {
 public:
  ModelStore(ModelWorld* world, std::shared_ptr<bool> alive)
      : world_(world), alive_(std::move(alive)) {}
  absl::Status Add(absl::Span<const store::DeadLetter> letters) override {
    if (!*alive_) return absl::CancelledError("dead");
    world_->meanwhile();
    if (!world_->letter_sink) {
      world_->tried_.clear();
      for (const store::DeadLetter& letter : letters) {
        world_->tried_.push_back(
            {{ModelWorld::BatchOf(letter), letter.idempotency_key}, letter.sink});
      }
    }
    world_->LettersSettled(!world_->store_full_);
    if (world_->store_full_) return absl::ResourceExhaustedError("disk full");
    for (const store::DeadLetter& letter : letters) {
      for (auto it = world_->letters_.begin(); it != world_->letters_.end();) {
        const bool same =
            it->second.sink == letter.sink && it->second.idempotency_key == letter.idempotency_key;
        it = same ? world_->letters_.erase(it) : std::next(it);
      }
      store::DeadLetter kept = letter;
      kept.id = world_->next_letter_++;
      world_->lettered_.insert({kept.idempotency_key, kept.sink});
      world_->letters_[kept.id] = std::move(kept);
    }
    world_->meanwhile();
    return absl::OkStatus();
  }
  absl::StatusOr<store::DeadLetterPage> List(absl::string_view, int64_t, int) override {
    return store::DeadLetterPage();
  }
  absl::StatusOr<store::DeadLetter> Get(int64_t) override { return absl::NotFoundError("none"); }
  absl::Status Remove(int64_t) override { return absl::NotFoundError("none"); }
  absl::StatusOr<int64_t> Count(absl::string_view) override { return 0; }
  absl::StatusOr<store::DeadLetterStats> Stats(absl::string_view) override {
    return store::DeadLetterStats();
  }
  absl::StatusOr<std::vector<store::ExpiredDeadLetter>> Expire(
      const store::DeadLetterRetention& retention, int limit) override {
    std::vector<store::ExpiredDeadLetter> expired;
    int64_t bytes = 0;
    for (const auto& [id, letter] : world_->letters_) {
      bytes += static_cast<int64_t>(letter.payload.size());
    }
    // By number is by age, too.
    while (!world_->letters_.empty() && static_cast<int>(expired.size()) < limit) {
      const store::DeadLetter& oldest = world_->letters_.begin()->second;
      const bool old = oldest.time < retention.before;
      if (!old && bytes <= retention.max_bytes) break;
      const auto size = static_cast<int64_t>(oldest.payload.size());
      expired.push_back({oldest.id, oldest.pipeline, oldest.time, size, old});
      world_->expired_[oldest.id] = ModelWorld::BatchOf(oldest);
      bytes -= size;
      world_->letters_.erase(world_->letters_.begin());
    }
    return expired;
  }

 private:
  ModelWorld* const world_;
  const std::shared_ptr<bool> alive_;
};

Runner::Parts ModelWorld::MakeParts(WorkerPool* pool) {
  alive_ = std::make_shared<bool>(true);
  clock.Advance(absl::Nanoseconds(1));  // letters of the process before are older
  records_read = records_acked = 0;
  std::vector<ModelOracle::Sink> known;
  for (const Sink& sink : sinks) {
    if (sink.name == "errors" || sink.name == "letters") continue;
    known.push_back({sink.name, sink.required, sink.at_most_once});
  }
  oracle.Begin(std::move(known), errors);
  last_read = clock.MonotonicNanos();
  Runner::Parts parts;
  parts.config = config_;
  parts.source = std::make_shared<ModelSource>(this, alive_);
  std::vector<std::shared_ptr<registry::Instance>> all;
  for (size_t k = 0; k < sinks.size(); ++k) {
    all.push_back(std::make_shared<ModelSink>(this, k, alive_));
  }
  if (errors) {
    parts.errors = all.back();
    all.pop_back();
  }
  if (letter_sink) {
    parts.dead_letters = all.back();
    all.pop_back();
  }
  parts.sinks = all;
  store_ = std::make_shared<ModelStore>(this, alive_);
  parts.store = store_.get();
  parts.pool = pool;
  parts.clock = &clock;
  parts.stepped = true;
  return parts;
}

}  // namespace mfn::pipeline
