// Keeps what cannot be delivered, and only then lets it count as settled: in the store, or with the
// publisher that the pipeline names. A store that is full or a publisher that is away parks the
// items; nothing is lost.
//
// What such a publisher receives is the error envelope (mfn.v1.SimulationResult with `error`) with
// one more member, `dead_letter`: pipeline, sink, record_id, item_index, attempts, and the
// request's bytes as `request` (or `request_base64` when they are not UTF-8). A letter that the
// publisher refuses goes to the store.
#ifndef MFN_SERVER_PIPELINE_DEAD_LETTER_WRITER_H_
#define MFN_SERVER_PIPELINE_DEAD_LETTER_WRITER_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "mfn/v1/simulation.pb.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/log_limit.h"
#include "server/base/mutex.h"
#include "server/pipeline/item.h"
#include "server/pipeline/tuning.h"
#include "server/registry/instance.h"
#include "server/store/dead_letter_store.h"

namespace mfn::pipeline {

struct Casualty {
  ItemPtr item;
  std::string sink;    // empty: the request itself is at fault
  bool gating = true;  // the sink holds up the ack
  std::string code, reason, message, field;
  int attempts = 0;
};

// The error envelope: the head of a result, and `error`.
mfn::v1::SimulationResult ErrorEnvelope(const Casualty& casualty);

class DeadLetterWriter {
 public:
  struct Options {
    std::string pipeline;
    store::DeadLetterStore* store;                  // not owned
    std::shared_ptr<registry::Instance> publisher;  // null: the store
    size_t max_optional = 1024;                     // casualties that hold up no ack
    Clock* clock = Clock::Real();
    Tuning tuning;
    bool stepped = false;  // no thread: Step does the work
  };
  struct Events {  // called on the writer's thread
    std::function<void(const Casualty&)> kept;
    std::function<void(const Casualty&)> lost;  // neither kept nor given back when it stopped
    std::function<void(const ItemPtr&)> parked, unparked;
    std::function<void(const std::string& problem)> trouble;  // empty: over
  };

  DeadLetterWriter(Options options, Events events);
  ~DeadLetterWriter();  // as Stop

  // False: too many wait already that hold up no ack, and this is another; it was not taken.
  // Thread-safe.
  bool Put(Casualty casualty);
  // Ends the thread after one last try. Idempotent.
  void Stop();
  // Keeps one batch, if there is one and it is time; false: not so.
  bool Step();

 private:
  void Run();
  // When there is something to do, in monotonic nanoseconds.
  int64_t DueAt() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Gather();
  void KeepBatch();
  // One try; ok: all of them are durable.
  absl::Status Keep(const std::vector<Casualty>& batch);
  absl::Status Store(const std::vector<const Casualty*>& batch);
  absl::Status Publish(const std::vector<Casualty>& batch);
  std::string Letter(const Casualty& casualty) const;
  // One line for each letter, as long as they are not too many.
  void Tell(const Casualty& casualty);

  const Options options_;
  const Events events_;
  CancellationSource stop_;
  LogLimit log_limit_;

  // Of whoever steps.
  std::vector<Casualty> batch_;
  bool parked_ = false;  // the batch is
  absl::Duration pause_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Casualty> queue_ ABSL_GUARDED_BY(mutex_);
  size_t optional_ ABSL_GUARDED_BY(mutex_) = 0;  // not yet kept
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;    // there is a batch
  int64_t not_before_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_DEAD_LETTER_WRITER_H_
