// One pipeline: its parts, wired, and its state. From Create to Delete it owns its publishers'
// writers and its dead-letter writer; each run (Start to the end) has a reader thread of its own.
// Thread-safe.
//
//   reader: SourceLoop -> Processor::Decode -> tracker, worker queue
//   worker: Processor::Process -> SinkWriter::Put of each publisher | DeadLetterWriter
//   writer: OnDelivered, ... -> tracker -> reader: ack -> at-most-once publishers
#ifndef MFN_SERVER_PIPELINE_RUNNER_H_
#define MFN_SERVER_PIPELINE_RUNNER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/mutex.h"
#include "server/pipeline/ack_tracker.h"
#include "server/pipeline/dead_letter_writer.h"
#include "server/pipeline/pipeline.h"
#include "server/pipeline/processor.h"
#include "server/pipeline/sink_writer.h"
#include "server/pipeline/source_loop.h"
#include "server/pipeline/tuning.h"
#include "server/pipeline/worker_pool.h"
#include "server/registry/instance.h"
#include "server/store/dead_letter_store.h"

namespace mfn::pipeline {

class Runner final : public SinkEvents {
 public:
  struct Parts {
    PipelineConfig config;
    std::shared_ptr<registry::Instance> source;
    std::vector<std::shared_ptr<registry::Instance>> sinks;  // as in config.sinks
    std::shared_ptr<registry::Instance> dead_letters;        // null: the store
    store::DeadLetterStore* store = nullptr;                 // not owned
    WorkerPool* pool = nullptr;                              // not owned
    Clock* clock = Clock::Real();
    absl::Duration drain_timeout = absl::Seconds(30);
    std::shared_ptr<registry::Instance> errors;  // gets error envelopes; null: nobody does
    Tuning tuning;
    CodecLimits limits;
    // No threads, nothing waits: a test makes each part take its steps. The pool has none either.
    bool stepped = false;
  };

  explicit Runner(Parts parts);
  ~Runner() override;  // as Stop

  absl::Status Start();
  absl::Status Pause();
  absl::Status Drain(absl::Duration bound);
  PipelineStatus Status() const;
  const PipelineConfig& config() const { return parts_.config; }

  // Delivers a kept letter again, to its publisher only; on success the caller removes the letter
  // and calls Replayed.
  absl::Status Redeliver(const store::DeadLetter& letter);
  // Likewise without waiting; `done` is called once, on any thread.
  void RedeliverThen(const store::DeadLetter& letter,
                     std::function<void(const absl::Status&)> done);
  // The letter is gone: moves it to another account of the books.
  void Replayed(const store::DeadLetter& letter);
  void Discarded(const store::DeadLetter& letter);
  void Expired(absl::Time letter_time);  // by retention

  // Ends all threads. What is in flight is returned; call Drain first for a gentle end. Idempotent.
  void Stop();

  // Only when stepped; false: nothing to do. Sinks as configured, then the error publisher.
  bool StepReader();
  bool StepWorker(size_t index, WorkerPool::Arena& arena);
  bool StepSink(size_t index);
  bool StepDeadLetters();

  void OnDelivered(const SinkWriter& sink, const ItemPtr& item) override;
  void OnParked(const ItemPtr& item) override;
  void OnUnparked(const ItemPtr& item) override;
  void OnRefused(const SinkWriter& sink, const ItemPtr& item, const registry::Failure& failure,
                 int attempts) override;
  void OnDropped(const SinkWriter& sink, const ItemPtr& item, const char* cause) override;
  void OnAlarm(const SinkWriter& sink, const std::string& message) override;

 private:
  void MakeWriters();
  std::unique_ptr<SinkWriter> MakeSink(const std::shared_ptr<registry::Instance>& instance,
                                       const SinkRef& reference);
  void MakeDeadLetters();
  std::unique_ptr<SourceLoop> MakeLoop();
  void EndRun(SourceLoop* loop, SourceLoop::End end);
  uint64_t Deliver(registry::OwnedBatch batch);
  void Work(const ItemPtr& item, engine::Simulation* arena);
  void Offer(size_t sink, const ItemPtr& item);
  void Bury(Casualty casualty);
  // The letter is durable: the requester is told, or at once:
  void Kept(const Casualty& casualty);
  void SettleBuried(const Casualty& casualty);
  // All writers of publishers.
  template <typename Act>
  void ForSinks(Act act) const {
    for (const auto& sink : sinks_) act(*sink);
    if (errors_ != nullptr) act(*errors_);
  }
  void AfterAck(const std::vector<ItemPtr>& items, bool acked);
  // Publishers need not wait for more when nothing more can come.
  void UpdateHurry();
  void AbortLoop();
  void WakeLoop();
  void SetTrouble(const std::string& text);
  void Reenter(absl::Time letter_time, Account to, absl::string_view cause);

  const Parts parts_;
  const absl::Time made_;
  const Processor processor_;
  const std::shared_ptr<WorkerPool::Queue> queue_;
  ConservationLedger ledger_;
  std::unique_ptr<AckTracker> tracker_;
  std::unique_ptr<DeadLetterWriter> dead_letters_;
  std::vector<std::unique_ptr<SinkWriter>> sinks_;
  std::unique_ptr<SinkWriter> errors_;  // null: no error publisher
  std::atomic<int64_t> processing_{0};
  std::atomic<bool> ending_{false};
  std::atomic<uint64_t> replayed_{0};
  std::atomic<int64_t> simulate_nanos_{0};

  Mutex control_;  // Start, Drain and Stop one at a time; taken before state_mutex_
  mutable Mutex state_mutex_;
  CondVar state_changed_;
  PipelineState state_ ABSL_GUARDED_BY(state_mutex_) = PipelineState::kStopped;
  bool stopped_ ABSL_GUARDED_BY(state_mutex_) = false;  // for good
  std::string error_ ABSL_GUARDED_BY(state_mutex_);     // why it failed or was paused by an alarm
  std::string held_up_ ABSL_GUARDED_BY(state_mutex_);   // why nothing is read just now
  std::string trouble_ ABSL_GUARDED_BY(state_mutex_);   // with dead letters
  SourceLoop::Counts earlier_ ABSL_GUARDED_BY(state_mutex_);        // of earlier runs
  std::shared_ptr<SourceLoop> loop_ ABSL_GUARDED_BY(state_mutex_);  // null: no run
  std::thread reader_ ABSL_GUARDED_BY(control_);
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_RUNNER_H_
