#include "server/rpc/call_runner.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

absl::Status Busy(absl::string_view what) {
  return RetryLater(absl::StatusCode::kResourceExhausted, "SERVER_BUSY",
                    absl::StrCat("the server is busy: ", what, "; try again later"),
                    absl::Seconds(1));
}

// The largest simulation with the largest reply takes about 70 MiB, and each thread may hold two.
int64_t DefaultMemory(int threads) {
  return std::max(int64_t{2} << 30, threads * (int64_t{160} << 20));
}

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context, CallRecord* record,
                                    const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(record->End(status));
  return reactor;
}

CallInfo InfoOf(const CallRecord& record) {
  CallInfo info;
  info.caller = record.caller();
  info.request_id = record.request_id();
  info.traceparent = record.traceparent();
  return info;
}

}  // namespace

absl::Status WithoutExceptions(const std::function<absl::Status()>& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Busy("not enough memory");
  } catch (const std::exception& error) {
    Log(LogLevel::kError, "rpc", "a handler threw", {{"what", error.what()}});
    return Error(absl::StatusCode::kInternal, "INTERNAL", "the call failed inside the server");
  }
}

MemoryBudget::Reservation::Reservation(Reservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}

MemoryBudget::Reservation& MemoryBudget::Reservation::operator=(Reservation&& other) noexcept {
  std::swap(budget_, other.budget_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MemoryBudget::Reservation::~Reservation() {
  if (budget_ == nullptr) return;
  MutexLock lock(&budget_->mutex_);
  budget_->free_ += bytes_;
}

absl::StatusOr<MemoryBudget::Reservation> MemoryBudget::Reserve(int64_t bytes) {
  MutexLock lock(&mutex_);
  if (bytes > free_) return Busy("its memory for calls is in use");
  free_ -= bytes;
  return Reservation(this, bytes);
}

int64_t MemoryBudget::free() const {
  MutexLock lock(&mutex_);
  return free_;
}

// A call that runs on a pool's thread. Owned by gRPC, which ends it with OnDone.
class CallRunner::PooledCall final : public grpc::ServerUnaryReactor {
 public:
  PooledCall(StallWatch* stalls, grpc::CallbackServerContext* context,
             std::shared_ptr<CallRecord> record, Handler handler,
             MemoryBudget::Reservation reservation)
      : stalls_(stalls),
        context_(context),
        record_(std::move(record)),
        info_(InfoOf(*record_)),
        handler_(std::move(handler)),
        reservation_(std::move(reservation)) {
    info_.cancel = source_.token();
  }

  // After this the object may be gone.
  void Run(engine::Simulation* arena) {
    info_.arena = arena;
    const LogScope scope(record_->log_fields());
    const absl::Status status = info_.cancel.cancelled()
                                    ? absl::CancelledError("the caller cancelled")
                                    : WithoutExceptions([this] { return handler_(info_); });
    write_ = stalls_->Begin(context_);
    Finish(record_->End(status));
  }

  void OnCancel() override { source_.Cancel(); }
  void OnDone() override {
    stalls_->End(write_);
    delete this;
  }

 private:
  StallWatch* const stalls_;
  grpc::CallbackServerContext* const context_;
  uint64_t write_ = 0;  // the reply's number in the watch
  CancellationSource source_;
  const std::shared_ptr<CallRecord> record_;
  CallInfo info_;
  const Handler handler_;
  const MemoryBudget::Reservation reservation_;
};

CallRunner::CallRunner(const Options& options)
    : options_(options),
      stats_(options.access_log),
      simulations_(options.simulation_threads),
      memory_(options.memory_bytes > 0 ? options.memory_bytes
                                       : DefaultMemory(simulations_.threads())),
      stalls_(options.stall_timeout),
      blocking_(options.blocking_threads),
      simulation_queue_(simulations_.AddQueue(0)),
      blocking_queue_(blocking_.AddQueue(0)) {}

CallRunner::~CallRunner() {
  simulation_queue_->Close();
  blocking_queue_->Close();
}

CallRunner::Arrival CallRunner::Admit(grpc::CallbackServerContext* context,
                                      absl::string_view method) {
  absl::string_view key;
  const auto header = context->client_metadata().find("x-api-key");
  if (header != context->client_metadata().end()) {
    key = absl::string_view(header->second.data(), header->second.size());
  }
  Arrival arrival;
  arrival.record = std::make_shared<CallRecord>(&stats_, options_.clock, context, method);
  std::string caller;
  arrival.admitted = options_.access->Admit(key, context->peer(), method, &caller);
  arrival.record->set_caller(std::move(caller));
  return arrival;
}

grpc::ServerUnaryReactor* CallRunner::Unary(grpc::CallbackServerContext* context,
                                            absl::string_view method, Lane lane, Handler handler,
                                            int64_t reserve) {
  auto [record, admitted] = Admit(context, method);
  if (!admitted.ok()) return FinishNow(context, record.get(), admitted);
  if (lane == Lane::kInline) {
    const LogScope scope(record->log_fields());
    const CallInfo info = InfoOf(*record);
    return FinishNow(context, record.get(), WithoutExceptions([&] { return handler(info); }));
  }
  auto reservation = memory_.Reserve(reserve);
  if (!reservation.ok()) return FinishNow(context, record.get(), reservation.status());
  if (!EnterQueue(lane)) {
    return FinishNow(context, record.get(), Busy("too many calls are waiting"));
  }
  auto* call = new PooledCall(&stalls_, context, std::move(record), std::move(handler),
                              *std::move(reservation));
  const auto task = [this, lane, call](pipeline::WorkerPool::Arena& arena) {
    LeaveQueue(lane);
    call->Run(lane == Lane::kSimulation ? arena.get() : nullptr);
  };
  (lane == Lane::kSimulation ? simulation_queue_ : blocking_queue_)->Push(task);
  return call;
}

void CallRunner::PushSimulation(pipeline::WorkerPool::Task task) {
  simulation_queue_->Push(std::move(task));
}

bool CallRunner::EnterQueue(Lane lane) {
  MutexLock lock(&mutex_);
  int& waiting = waiting_[static_cast<int>(lane)];
  if (waiting >= options_.max_waiting) return false;
  ++waiting;
  return true;
}

void CallRunner::LeaveQueue(Lane lane) {
  MutexLock lock(&mutex_);
  --waiting_[static_cast<int>(lane)];
}

void CallRunner::Collect(MetricSet* out) const {
  stats_.Collect(out);
  out->Gauge("mfn_rpc_memory_free_bytes", "What calls may still reserve.", {},
             static_cast<double>(memory_.free()));
  MutexLock lock(&mutex_);
  for (const Lane lane : {Lane::kBlocking, Lane::kSimulation}) {
    out->Gauge("mfn_rpc_waiting_calls", "Calls that wait for a thread of their lane.",
               {{"lane", lane == Lane::kBlocking ? "blocking" : "simulation"}},
               waiting_[static_cast<int>(lane)]);
  }
}

}  // namespace mfn::rpc
