// The world around a pipeline under the model test: a source, publishers and a store that fail as
// chance has it, survive the pipeline's restarts, and know what the pipeline has promised.
//
// Everything runs on one thread and a virtual clock; a seed decides all of it. What the pipeline
// does against its promises is collected in `violations`.
//   source  every batch is acked exactly once and, unless the lane is unordered, in order; never
//           more records unacked than the bound; a lane is released with nothing unacked in it; it
//           is kept alive
//   ack     OK: each item is durable at every required at-least-once publisher. PERMANENT: or there
//           is a dead letter of it, committed before, and the requester has been told
//   at-most-once  a publisher is never given an item twice, nor before the ack
// What the books must say of each item it tells the oracle.
// A process that is killed (Kill) leaves what is durable; its calls from then on have no effect.
#ifndef MFN_SERVER_PIPELINE_MODEL_WORLD_H_
#define MFN_SERVER_PIPELINE_MODEL_WORLD_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/base/fake_clock.h"
#include "server/pipeline/model_oracle.h"
#include "server/pipeline/test_support.h"

namespace mfn::pipeline {

struct ModelRecord {
  std::string id, payload;
  int items = 1;
  bool unreadable = false;  // its source could not read it
  std::vector<bool> bad;    // items that are no request
};

class ModelWorld {
 public:
  struct Sink {
    std::string name;
    bool required = true, at_most_once = false, deferred = false;
    int max_in_flight = 1;
    // How it answers now: the share of calls that fail, and how.
    double trouble = 0;
    mfn_code code = MFN_RETRYABLE;
    std::map<std::string, int> durable;  // item key -> how often
    // Of this process, since the last flush; `lost` went with an instance that was replaced.
    struct Unflushed {
      ModelOracle::ItemId id;
      std::string entry;
      bool replay = false, lost = false;
    };
    std::vector<Unflushed> unflushed;
    uint64_t epoch = 1;
    int refusals = 0;  // in a row, at least as many as the pipeline counts
    bool gating() const { return required && !at_most_once; }
  };

  explicit ModelWorld(uint64_t seed);

  bool Chance(double share) { return std::uniform_real_distribution<>(0, 1)(random_) < share; }
  int Pick(int count) { return static_cast<int>(random_() % static_cast<uint64_t>(count)); }

  // What happens outside.
  void Feed();
  void DisturbLane();
  void ReplaceInstance();  // after a call that did not come back: what it held is gone
  void ChangeWeather();
  void Heal();
  // The process dies; the next one has instances of its own (MakeParts).
  void Kill();
  Runner::Parts MakeParts(WorkerPool* pool);
  bool RemoveLetter(int64_t id);  // false: it is gone already
  // A letter of any publisher, if there is one.
  const store::DeadLetter* AnyLetter();

  // Called within calls of the pipeline, where others may act meanwhile.
  std::function<void()> meanwhile;
  std::vector<std::string> violations;
  FakeClock clock;
  ModelOracle oracle;
  std::vector<Sink> sinks;
  bool errors = false, letter_sink = false;  // then there is one, as the last of `sinks`
  ProcessorKind kind = ProcessorKind::kPassthrough;
  // Of the process that runs.
  uint64_t records_read = 0, records_acked = 0;
  int64_t last_read = 0;     // of any call that keeps the source alive
  bool read_failed = false;  // the last one
  uint64_t unacked_records() const { return unacked_records_; }
  uint64_t fed() const { return records_.size(); }
  uint64_t settled() const { return settled_.size(); }
  bool quiet() const;                                        // nothing to read and nothing unacked
  static uint64_t BatchOf(const store::DeadLetter& letter);  // its ack number
  uint64_t BatchOfExpired(int64_t letter) const { return expired_.at(letter); }
  store::DeadLetterStore* store() { return store_.get(); }

 private:
  static constexpr char kBatch[] = "model-batch";  // attribute: the ack number
  friend class ModelSource;
  friend class ModelSink;
  friend class ModelStore;
  struct Lane {
    bool unordered = false;
    std::deque<std::string> waiting;
    std::deque<uint64_t> order;  // unacked batches
    bool disturbed = false;      // taken away, now or soon
    bool revoked = false, lost = false;
    bool replaced = false;  // lost with its instance, which the pipeline has not been told
  };
  struct Batch {
    uint64_t lane = 0;
    std::vector<std::string> records;
  };

  void Violation(const std::string& text);
  std::string KeyOf(const std::string& record, int item) const;
  void CheckAck(const ModelRecord& record, mfn_code outcome);
  void Reassign(uint64_t lane);
  void ReplaceSource();
  ModelOracle::ItemId IdOf(const mfn_record& record) const;
  std::vector<ModelOracle::ItemId> ItemsOf(uint64_t ack, const ModelRecord& record) const;
  void TellOracle(Sink* sink, const mfn_record& record, const registry::Failure& own, bool alone);
  void LettersTried(absl::Span<const mfn_record> records, const registry::WriteResult& result);
  // The keeper of dead letters has made its last try to keep those it holds.
  void LettersSettled(bool kept);
  uint64_t NewLane(bool unordered);

  registry::ReadResult Read(uint64_t max_records);
  registry::ReadResult Give(uint64_t lane, uint64_t max_records);
  registry::Failure Ack(uint64_t ack_id, absl::Span<const mfn_code> outcomes);
  registry::Failure Released(uint64_t lane);
  registry::WriteResult Write(Sink* sink, absl::Span<const mfn_record> records);
  registry::Failure Flush(Sink* sink, uint64_t epoch);
  void Commit(Sink* sink, const std::string& key);

  std::mt19937_64 random_;
  PipelineConfig config_;
  std::map<std::string, ModelRecord> records_;
  std::map<std::string, mfn_code> settled_;       // records whose ack the source has taken
  std::map<std::string, std::string> record_of_;  // item key -> record
  std::map<uint64_t, Lane> lanes_;
  std::map<uint64_t, Batch> unacked_;
  std::deque<std::pair<uint64_t, uint64_t>> events_;  // lane, flag
  uint64_t next_lane_ = 1, next_ack_ = 1, unacked_records_ = 0;
  double source_trouble_ = 0;
  bool store_full_ = false;
  std::map<int64_t, store::DeadLetter> letters_;
  std::map<int64_t, uint64_t> expired_;  // letter -> ack number
  int64_t next_letter_ = 1;
  std::set<std::pair<std::string, std::string>> lettered_;          // item key, sink; ever
  std::vector<std::pair<ModelOracle::ItemId, std::string>> tried_;  // letters; item, sink
  std::shared_ptr<bool> alive_;                                     // the process
  std::shared_ptr<store::DeadLetterStore> store_;                   // of the process
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_MODEL_WORLD_H_
