// Streams that tell what happens, for as long as somebody reads: a pipeline's figures, a
// connector's records. They never queue without bound and never make anybody wait for a reader.
//
// A LiveStream asks its subclass for the next message whenever the one before has been taken; what
// is newer replaces what was not sent, or is counted as lost, as the subclass decides. One thread
// (LiveStreams) wakes all of them every 50 ms. A reader that takes nothing for long is cut off, as
// in every stream (StallWatch).
#ifndef MFN_SERVER_RPC_LIVE_STREAM_H_
#define MFN_SERVER_RPC_LIVE_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/rpc/call_record.h"
#include "server/rpc/stall_watch.h"

namespace mfn::rpc {

// What the waking thread knows of a stream. Thread-safe.
class Woken {
 public:
  virtual ~Woken() = default;
  virtual void Tick(int64_t now_ns) = 0;
  virtual void End(const absl::Status& status) = 0;
  virtual bool done() const = 0;
};

class LiveStreams {
 public:
  // Per kind of stream ("WatchPipeline"), as many at once.
  explicit LiveStreams(Clock* clock) : clock_(clock) {}
  ~LiveStreams();  // after EndAll, and after the gRPC server has ended all calls

  // RESOURCE_EXHAUSTED (TOO_MANY_STREAMS) if `limit` of this kind are running.
  absl::Status Add(const char* kind, size_t limit, std::shared_ptr<Woken> stream);
  // Ends all, and all that come later.
  void EndAll(const absl::Status& status);
  Clock* clock() const { return clock_; }

 private:
  struct Entry {
    const char* kind;
    std::shared_ptr<Woken> stream;
  };
  void Run();
  std::vector<Entry> Living();

  Clock* const clock_;
  CancellationSource ending_;
  Mutex mutex_;
  std::vector<Entry> streams_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_ ABSL_GUARDED_BY(mutex_);  // from the first stream on
};

// Made by std::make_shared; keeps itself alive from Begin until gRPC is done with it.
template <typename Response>
class LiveStream : public grpc::ServerWriteReactor<Response>, public Woken {
 public:
  // `stalls` is not owned.
  LiveStream(std::shared_ptr<CallRecord> record, grpc::CallbackServerContext* context,
             StallWatch* stalls)
      : record_(std::move(record)), context_(context), stalls_(stalls) {}

  void Begin(std::shared_ptr<LiveStream> self) {
    MutexLock lock(&mutex_);
    self_ = std::move(self);
  }

  void End(const absl::Status& status) override {
    {
      MutexLock lock(&mutex_);
      if (!ending_) ending_ = status;
    }
    Kick();
  }
  bool done() const override {
    MutexLock lock(&mutex_);
    return finished_;
  }

  void OnWriteDone(bool ok) override {
    uint64_t watched = 0;
    {
      MutexLock lock(&mutex_);
      watched = watched_;
    }
    stalls_->End(watched);  // before anything that lets gRPC end the call
    {
      MutexLock lock(&mutex_);
      writing_ = false;
    }
    if (ok) {
      Kick();
    } else {
      Break("the reader is gone");
    }
  }
  void OnCancel() override { Break("the caller cancelled"); }
  void OnDone() override {
    std::shared_ptr<LiveStream> last;  // let go outside of the mutex
    MutexLock lock(&mutex_);
    last.swap(self_);
  }

 protected:
  // Puts the next message into *response; false: there is none now. Called under the mutex.
  virtual bool Fill(Response* response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;

  // Sends what there is, if the message before has been taken. Any thread.
  void Kick() {
    std::optional<absl::Status> finish;
    {
      MutexLock lock(&mutex_);
      if (writing_ || finished_) return;
      response_.Clear();
      if (!broken_ && Fill(&response_)) {
        writing_ = true;
        watched_ = stalls_->Begin(context_);
      } else if (ending_) {
        finished_ = true;
        finish = ending_;
      } else {
        return;
      }
    }
    if (finish) {
      this->Finish(record_->End(*finish));
    } else {
      this->StartWrite(&response_);
    }
  }

  // Guards what Fill reads; taken by Fill's callers.
  mutable Mutex mutex_;

 private:
  void Break(const char* why) {
    {
      MutexLock lock(&mutex_);
      broken_ = true;
      if (!ending_) ending_ = absl::CancelledError(why);
    }
    Kick();
  }

  const std::shared_ptr<CallRecord> record_;
  grpc::CallbackServerContext* const context_;  // valid until OnDone
  StallWatch* const stalls_;
  Response response_;  // touched by the write that is under way only
  std::shared_ptr<LiveStream> self_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mutex_);
  uint64_t watched_ ABSL_GUARDED_BY(mutex_) = 0;  // the last write's number in the watch
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

// A stream that was refused.
template <typename Response>
class RefusedStream final : public grpc::ServerWriteReactor<Response> {
 public:
  RefusedStream(CallRecord* record, const absl::Status& status) {
    this->Finish(record->End(status));
  }
  void OnDone() override { delete this; }
};

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_LIVE_STREAM_H_
