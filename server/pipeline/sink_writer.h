// One publisher of one pipeline: a queue, and the threads that form batches and write them: one, or
// as many as the publisher says it can be written to at once (at most kMaxThreads; then batches
// reach it in any order). A deferred publisher has one, since its flush speaks for all that was
// written before.
//
// The instance retries as far as its policy goes. What then still fails is sorted here:
//   endpoint fault (RETRYABLE, THROTTLED, AUTH, NOT_CONNECTED)  parked, and presented again after a
//   pause that grows
//                     from park_initial to park_max; after a failed call with one record at a time,
//                     taken in rotation, so that a single poisonous record cannot hold up the rest
//   record fault (PERMANENT, UNSUPPORTED, unknown)              to the dead letters; a whole batch
//   that is refused is
//                     presented one by one first, to find the bad ones
//   max_rounds failed rounds while other items succeeded        to the dead letters
//   permanent_alarm refusals in a row without a success         the writer holds (nothing is
//   written, nothing lost) until Resume
// Items of a deferred publisher count as delivered after the flush: by age, when half the bound
// waits for it, and in a hurry (draining). Thread-safe.
#ifndef MFN_SERVER_PIPELINE_SINK_WRITER_H_
#define MFN_SERVER_PIPELINE_SINK_WRITER_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/pipeline/item.h"
#include "server/pipeline/pipeline.h"
#include "server/pipeline/tuning.h"
#include "server/registry/instance.h"

namespace mfn::pipeline {

class SinkWriter;

// What becomes of items. Called on the writer's threads without its lock.
class SinkEvents {
 public:
  virtual ~SinkEvents() = default;
  virtual void OnDelivered(const SinkWriter& sink, const ItemPtr& item) = 0;
  virtual void OnParked(const ItemPtr& item) = 0;
  virtual void OnUnparked(const ItemPtr& item) = 0;
  virtual void OnRefused(const SinkWriter& sink, const ItemPtr& item,
                         const registry::Failure& failure, int attempts) = 0;
  virtual void OnDropped(const SinkWriter& sink, const ItemPtr& item, const char* cause) = 0;
  // The writer holds; `message` says why and what to do.
  virtual void OnAlarm(const SinkWriter& sink, const std::string& message) = 0;
};

class SinkWriter {
 public:
  struct Options {
    bool required = true;
    bool simulated = true;       // results carry their own content type
    size_t max_unflushed = 512;  // of a deferred publisher, in items
    // Of an optional or at-most-once publisher; the last item may be larger.
    size_t max_backlog = 1024;
    uint64_t max_backlog_bytes = 64 << 20;
    Clock* clock = Clock::Real();
    Tuning tuning;
    bool stepped = false;  // no threads: Step does the work
  };
  static constexpr int kMaxThreads = 8;
  using Done = std::function<void(const absl::Status&)>;

  SinkWriter(std::shared_ptr<registry::Instance> instance, const Options& options,
             SinkEvents* events);
  ~SinkWriter();  // as Stop

  // False: the bounded queue of an optional publisher is full, the item was not taken.
  bool Put(const ItemPtr& item);
  // Written before others, once, and not parked: `done` says how it went. FAILED_PRECONDITION while
  // the writer holds.
  void Replay(const ItemPtr& item, Done done);
  // While in a hurry no batch waits to fill, and a deferred publisher is flushed as soon as nothing
  // is queued.
  void SetHurry(bool hurry);
  void Resume();
  // Ends the threads and cancels their calls; what is left is dropped with cause "shutdown" unless
  // it was returned. Idempotent.
  void Stop();
  // Writes one batch, or flushes, if that is due; false: nothing is.
  bool Step();

  const std::string& name() const { return name_; }
  bool required() const { return options_.required; }
  bool at_most_once() const { return at_most_once_; }
  // Whether the ack waits for it.
  bool gating() const { return options_.required && !at_most_once_; }
  // Reading must wait: a required at-most-once publisher is behind.
  bool full() const {
    return backlog_.load() >= options_.max_backlog ||
           backlog_bytes_.load() >= options_.max_backlog_bytes;
  }
  SinkStatus status() const;

 private:
  struct Entry {
    ItemPtr item;
    Done done;  // of a replay
    uint64_t bytes = 0;
    int64_t since = 0;  // monotonic nanoseconds
    int64_t not_before = 0;
    uint64_t epoch = 0;  // of the write, for the flush
    int attempts = 0;
    int rounds = 0;
    uint64_t seen_successes = 0;
    bool seen = false;  // seen_successes says something
    bool parked = false;
  };

  void Run();
  // Waits for something to write or flush; false: stop.
  bool Await();
  Entry Enter(const ItemPtr& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Leave(const Entry& entry);
  // How long until there is something to do; zero: now.
  int64_t Delay(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeBatch(int64_t now, std::vector<Entry>* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool FlushDue(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Present(std::vector<Entry> batch);
  void Succeeded(Entry entry);
  // `alone`: the failure is surely this record's own. `others`: some record of the same call
  // succeeded.
  void Failed(Entry entry, const registry::Failure& failure, bool alone);
  void Refuse(Entry entry, const registry::Failure& failure);
  void Park(Entry entry, const registry::Failure& failure);
  void PauseAfter(const registry::Failure& failure);
  void Hold(const registry::Failure& failure);
  void Flush();
  void DropRest();

  const std::shared_ptr<registry::Instance> instance_;
  const std::string name_;
  const bool at_most_once_, deferred_;
  const size_t batch_size_;
  const Options options_;
  SinkEvents* const events_;
  CancellationSource stop_;
  std::atomic<size_t> backlog_{0};
  std::atomic<uint64_t> backlog_bytes_{0};

  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Entry> fresh_ ABSL_GUARDED_BY(mutex_);
  std::deque<Entry> parked_ ABSL_GUARDED_BY(mutex_);
  std::deque<Entry> replays_ ABSL_GUARDED_BY(mutex_);
  std::vector<Entry> unflushed_ ABSL_GUARDED_BY(mutex_);
  bool hurry_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool parked_turn_ ABSL_GUARDED_BY(mutex_) = false;
  size_t batch_limit_ ABSL_GUARDED_BY(mutex_);
  int64_t not_before_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_);
  uint64_t successes_ ABSL_GUARDED_BY(mutex_) = 0;
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row

  std::vector<std::thread> threads_;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_SINK_WRITER_H_
