#include "server/rpc/run_many.h"

#include <deque>
#include <memory>
#include <utility>

#include "server/pipeline/codec.h"
#include "server/rpc/simulation_run.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

using Request = mfn::v1::RunManyRequest;
using Response = mfn::v1::RunManyResponse;
using Reactor = grpc::ServerBidiReactor<Request, Response>;

class Refused final : public Reactor {
 public:
  Refused(CallRecord* record, const absl::Status& status) { Finish(record->End(status)); }
  void OnDone() override { delete this; }
};

// Reads, writes and computing threads meet here; everything they share is behind the mutex. At most
// one read and one write are under way. It finishes when nothing is.
class RunManyCall final : public Reactor {
 public:
  RunManyCall(CallRunner* calls, grpc::CallbackServerContext* context,
              std::shared_ptr<CallRecord> record)
      : calls_(calls),
        context_(context),
        record_(std::move(record)),
        bound_(2 * calls->simulation_threads()) {
    cancel_ = source_.token();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (ok) Dispatch();
    Action action;
    {
      MutexLock lock(&mutex_);
      reading_ = false;
      if (!ok) half_closed_ = true;
      action = NextAction();
    }
    Perform(action);
  }

  void OnWriteDone(bool ok) override {
    calls_->stalls().End(std::exchange(write_, 0));
    current_ = {};
    Action action;
    {
      MutexLock lock(&mutex_);
      writing_ = false;
      --in_flight_;
      if (!ok) broken_ = true;
      action = NextAction();
    }
    Perform(action);
  }

  void OnCancel() override { source_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  // A result that waits to be written, with what it and its request may take.
  struct Result {
    std::unique_ptr<Response> response;
    MemoryBudget::Reservation reservation;
  };
  struct Action {
    bool read = false, write = false, finish = false;
  };

  void Dispatch() {
    auto request = std::make_shared<Request>(std::move(request_));
    request_.Clear();
    auto ready = std::make_shared<Result>();
    ready->response = std::make_unique<Response>();
    {
      MutexLock lock(&mutex_);
      ready->response->set_index(next_index_++);
      ++in_flight_;
    }
    auto reservation = calls_->memory().Reserve(MemoryOf(request->simulation()));
    if (!reservation.ok()) {
      Perform(Keep(*request, reservation.status(), ready.get()));
      return;
    }
    ready->reservation = *std::move(reservation);
    calls_->PushSimulation([this, request, ready](pipeline::WorkerPool::Arena& arena) {
      const absl::Status status = WithoutExceptions([&] {
        const LogScope scope(record_->log_fields());
        return RunToResult(request->simulation(), cancel_, arena.get(),
                           ready->response->mutable_result());
      });
      Perform(Keep(*request, status, ready.get()));
    });
  }

  // Puts what came of a request among the results, and says what to start now.
  Action Keep(const Request& request, const absl::Status& status, Result* ready) {
    mfn::v1::SimulationResult* result = ready->response->mutable_result();
    if (!status.ok()) {
      result->Clear();
      pipeline::ErrorToProto(status, result);
      result->mutable_error()->set_reason(ReasonOf(status));
      if (CheckRequestId(request.simulation()).ok()) {
        result->set_request_id(request.simulation().request_id());
      }
    }
    MutexLock lock(&mutex_);
    ready_.push_back(std::move(*ready));
    return NextAction();
  }

  // Decides what to start and marks it as started.
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Action action;
    if (cancel_.cancelled()) broken_ = true;
    if (broken_) {
      in_flight_ -= static_cast<int>(ready_.size());
      ready_.clear();
    }
    if (!writing_ && !ready_.empty()) {
      current_ = std::move(ready_.front());
      ready_.pop_front();
      action.write = writing_ = true;
    }
    if (!reading_ && !half_closed_ && !broken_ && in_flight_ < bound_) {
      action.read = reading_ = true;
    }
    const bool over = (half_closed_ || broken_) && in_flight_ == 0 && !reading_ && !writing_;
    if (over && !finished_) action.finish = finished_ = true;
    return action;
  }

  // Outside the lock. After a finish, or once nothing of ours is under way, the object may be gone;
  // what is in `action` keeps it alive until it is started, reads last.
  void Perform(const Action& action) {
    if (action.finish) {
      Finish(record_->End(cancel_.cancelled() ? absl::CancelledError("the caller cancelled")
                                              : absl::OkStatus()));
      return;
    }
    // A read that is under way keeps the stream open, so it is safe to start the write after it.
    if (action.read) StartRead(&request_);
    if (action.write) {
      write_ = calls_->stalls().Begin(context_);
      StartWrite(current_.response.get());
    }
  }

  CallRunner* const calls_;
  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<CallRecord> record_;
  const int bound_;
  CancellationSource source_;
  Cancellation cancel_;
  Request request_;     // touched by the read that is under way only
  Result current_;      // touched by the write that is under way only
  uint64_t write_ = 0;  // its number in the watch

  Mutex mutex_;
  std::deque<Result> ready_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_index_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;  // read and not yet written
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerBidiReactor<Request, Response>* StartRunMany(CallRunner* calls,
                                                         grpc::CallbackServerContext* context) {
  auto [record, admitted] = calls->Admit(context, "mfn.v1.SimulationService/RunMany");
  if (!admitted.ok()) return new Refused(record.get(), admitted);
  return new RunManyCall(calls, context, std::move(record));
}

}  // namespace mfn::rpc
