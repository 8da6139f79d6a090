// Sources and sinks whose every answer a test decides, and the bench on which a Runner is tested
// with them. The store is the real one.
#ifndef MFN_SERVER_PIPELINE_TEST_SUPPORT_H_
#define MFN_SERVER_PIPELINE_TEST_SUPPORT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/pipeline/runner.h"
#include "server/registry/instance.h"
#include "server/store/dead_letter_store.h"
#include "server/store/store.h"

namespace mfn::pipeline {

registry::Failure Fault(mfn_code code, std::string reason = "TEST", std::string message = "test");

// Answers everything with UNSUPPORTED; subclasses say what they do.
class TestInstance : public registry::Instance {
 public:
  explicit TestInstance(const std::string& name) { config_.name = name; }
  const InstanceConfig& config() const override { return config_; }
  InstanceConfig& mutable_config() { return config_; }
  bool has_source() const override { return false; }
  bool has_sink() const override { return false; }
  bool has_executor() const override { return false; }
  bool concurrent_ack() const override { return false; }
  bool deferred() const override { return false; }
  bool dedups_by_key() const override { return false; }
  int max_in_flight() const override { return 1; }
  registry::InstanceStatus status() const override { return {}; }
  void ControlBreaker(registry::BreakerAction) override {}
  absl::Status Connect(const Cancellation&) override { return absl::OkStatus(); }
  absl::Status Check(const Cancellation&) override { return absl::OkStatus(); }
  registry::ReadResult Read(uint64_t, uint64_t, absl::Duration, const Cancellation&) override;
  registry::Failure Ack(const registry::OwnedBatch&, absl::Span<const mfn_code>,
                        const Cancellation&) override;
  registry::Failure LaneReleased(uint64_t, const Cancellation&) override;
  registry::WriteResult Write(const registry::SharedRecords&, const Cancellation&) override;
  registry::Failure Flush(uint64_t, const Cancellation&) override;
  registry::ReadResult Execute(const registry::SharedRecords&, bool, const Cancellation&) override;
  void Close(absl::Duration) override {}

 private:
  InstanceConfig config_;
};

// Gives records lane by lane, checks the rules of acks, and gives again what was acked RETRYABLE.
class TestSource final : public TestInstance {
 public:
  using TestInstance::TestInstance;
  bool has_source() const override { return true; }

  void Feed(uint64_t lane, const std::string& id, const std::string& payload);
  void FeedEvent(uint64_t lane, uint64_t flags);
  void End();  // after all that was fed
  // Answers of the next calls, before the usual ones.
  void FailReads(std::vector<registry::Failure> failures);
  void FailAcks(std::vector<registry::Failure> failures);
  void set_unordered(bool unordered) { flags_ = unordered ? MFN_LANE_UNORDERED : 0; }

  registry::ReadResult Read(uint64_t max_records, uint64_t max_bytes, absl::Duration wait,
                            const Cancellation& cancel) override;
  registry::Failure Ack(const registry::OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
                        const Cancellation& cancel) override;
  registry::Failure LaneReleased(uint64_t lane, const Cancellation& cancel) override;

  std::vector<std::string> violations() const;    // of the ABI, by the pipeline
  std::map<std::string, mfn_code> acked() const;  // last outcome by record id
  uint64_t unacked() const;                       // records given and not acked
  uint64_t most_unacked() const;
  uint64_t keep_alives() const;
  std::vector<uint64_t> released_lanes() const;
  int batches_alive() const { return alive_.load(); }

 private:
  struct Record {
    uint64_t lane = 0;
    std::string id, payload;
    uint64_t event = 0;
  };
  struct Batch {
    uint64_t lane = 0;
    std::vector<Record> records;
  };

  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Record> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Batch> unacked_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::deque<uint64_t>> order_ ABSL_GUARDED_BY(mutex_);  // ack ids by lane
  std::deque<registry::Failure> read_faults_ ABSL_GUARDED_BY(mutex_);
  std::deque<registry::Failure> ack_faults_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, mfn_code> acked_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> released_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ack_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t records_unacked_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t most_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t keep_alives_ ABSL_GUARDED_BY(mutex_) = 0;
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<uint64_t> flags_{0};
  std::atomic<int> alive_{0};
};

// Keeps what it is given, unless `answer` says otherwise.
class TestSink final : public TestInstance {
 public:
  explicit TestSink(const std::string& name);
  bool has_sink() const override { return true; }
  bool deferred() const override { return deferred_; }
  void set_deferred(bool deferred) { deferred_ = deferred; }
  int max_in_flight() const override { return max_in_flight_; }
  void set_max_in_flight(int most) { max_in_flight_ = most; }

  using Answer = std::function<registry::WriteResult(absl::Span<const mfn_record>)>;
  void SetAnswer(Answer answer);  // empty: everything succeeds
  void SetFlushAnswer(std::function<registry::Failure()> answer);

  registry::WriteResult Write(const registry::SharedRecords& records,
                              const Cancellation& cancel) override;
  registry::Failure Flush(uint64_t epoch, const Cancellation& cancel) override;

  struct Written {
    std::string key, payload, content_type;
  };
  std::vector<Written> durable() const;  // in order of writing
  size_t distinct() const;               // keys among them
  uint64_t writes() const;

 private:
  std::atomic<bool> deferred_{false};
  std::atomic<int> max_in_flight_{1};
  mutable Mutex mutex_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  std::function<registry::Failure()> flush_answer_ ABSL_GUARDED_BY(mutex_);
  std::vector<Written> unflushed_ ABSL_GUARDED_BY(mutex_);
  std::vector<Written> durable_ ABSL_GUARDED_BY(mutex_);
  uint64_t writes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The real store, in front of which a test can stand.
class GatedDeadLetters final : public store::DeadLetterStore {
 public:
  explicit GatedDeadLetters(store::DeadLetterStore* real) : real_(real) {}
  void SetGate(std::function<absl::Status()> gate);  // called before each Add
  absl::Status Add(absl::Span<const store::DeadLetter> letters) override;
  absl::StatusOr<store::DeadLetterPage> List(absl::string_view pipeline, int64_t after_id,
                                             int limit) override {
    return real_->List(pipeline, after_id, limit);
  }
  absl::StatusOr<store::DeadLetter> Get(int64_t id) override { return real_->Get(id); }
  absl::Status Remove(int64_t id) override { return real_->Remove(id); }
  absl::StatusOr<int64_t> Count(absl::string_view pipeline) override {
    return real_->Count(pipeline);
  }
  absl::StatusOr<store::DeadLetterStats> Stats(absl::string_view pipeline) override {
    return real_->Stats(pipeline);
  }
  absl::StatusOr<std::vector<store::ExpiredDeadLetter>> Expire(
      const store::DeadLetterRetention& retention, int limit) override {
    return real_->Expire(retention, limit);
  }

 private:
  store::DeadLetterStore* const real_;
  Mutex mutex_;
  std::function<absl::Status()> gate_ ABSL_GUARDED_BY(mutex_);
};

// A temporary directory, removed at the end.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Polls until `condition` holds; false after a generous bound.
bool Eventually(const std::function<bool()>& condition);

// Everything a Runner needs; change the parts, then Make.
class Bench {
 public:
  Bench();
  ~Bench();

  TestSink& AddSink(const std::string& name, bool required = true);
  Runner& Make();
  Conservation Counts() const { return runner->Status().counts; }
  // A snapshot's equation; also used from other threads.
  static bool Balanced(const Conservation& counts);
  std::vector<store::DeadLetter> Letters();

  TestDirectory directory;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<GatedDeadLetters> letters;
  WorkerPool pool{2};
  std::shared_ptr<TestSource> source;
  std::vector<std::shared_ptr<TestSink>> sinks;
  Runner::Parts parts;
  std::unique_ptr<Runner> runner;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_TEST_SUPPORT_H_
