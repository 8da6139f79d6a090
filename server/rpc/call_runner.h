// What every call goes through: access, bounds, a thread to run on, cancellation, status mapping.
//
//   grpc::ServerUnaryReactor* GetPlugin(grpc::CallbackServerContext* context, ...) override {
//     return calls_->Unary(context, "mfn.v1.PluginService/GetPlugin", Lane::kInline,
//                          [=](const CallInfo&) { return Get(*request, reply); });
//   }
//
// A handler never runs unless Admit said yes, whichever service it belongs to. Thread-safe.
#ifndef MFN_SERVER_RPC_CALL_RUNNER_H_
#define MFN_SERVER_RPC_CALL_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/engine/simulation.h"
#include "server/pipeline/worker_pool.h"
#include "server/rpc/access.h"
#include "server/rpc/call_record.h"
#include "server/rpc/stall_watch.h"

namespace grpc {
class CallbackServerContext;
class ServerUnaryReactor;
}  // namespace grpc

namespace mfn::rpc {

// Where a handler runs.
enum class Lane {
  kInline,      // on gRPC's own thread: microseconds, never waits
  kBlocking,    // on a thread that may wait for a plugin or a disk
  kSimulation,  // on a thread that computes; there are as many as simulations may run at once
};

struct CallInfo {
  std::string caller;                   // who calls; no secret
  std::string request_id;               // of the call, for whatever is done on its behalf
  std::string traceparent;              // W3C trace context of the client, or empty
  Cancellation cancel;                  // fires when the client is gone or the deadline has passed
  engine::Simulation* arena = nullptr;  // kSimulation: memory to use again; else null
};

using Handler = std::function<absl::Status(const CallInfo&)>;

// Memory that calls may hold at once, in bytes. Thread-safe; outlives its reservations.
class MemoryBudget {
 public:
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept;
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation();
    int64_t bytes() const { return bytes_; }

   private:
    friend class MemoryBudget;
    Reservation(MemoryBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}
    MemoryBudget* budget_ = nullptr;
    int64_t bytes_ = 0;
  };

  explicit MemoryBudget(int64_t bytes) : free_(bytes) {}
  // RESOURCE_EXHAUSTED (SERVER_BUSY) with a delay if that much is not free.
  absl::StatusOr<Reservation> Reserve(int64_t bytes);
  int64_t free() const;

 private:
  mutable Mutex mutex_;
  int64_t free_ ABSL_GUARDED_BY(mutex_);
};

class CallRunner {
 public:
  struct Options {
    Access* access;  // not owned
    Clock* clock = Clock::Real();
    int simulation_threads = 0;  // 0: one per core
    int blocking_threads = 16;
    int max_waiting = 4096;  // calls of one lane that wait for a thread; more are refused
    // A stream whose reader takes nothing for so long is ended; 0: never.
    absl::Duration stall_timeout = absl::Seconds(60);
    // What calls may hold; 0: 2 GiB, or more where there are many simulation threads.
    int64_t memory_bytes = 0;
    AccessLog access_log = AccessLog::kDebug;
  };
  explicit CallRunner(const Options& options);
  ~CallRunner();  // waits for handlers that run; call after the server was shut down

  // What Access says about this call, and the record that ends it. Every handler starts with it;
  // Unary does it itself.
  struct Arrival {
    std::shared_ptr<CallRecord> record;
    absl::Status admitted;
  };
  Arrival Admit(grpc::CallbackServerContext* context, absl::string_view method);

  // Runs the handler in its lane and finishes the call with what it returns. `reserve` bytes are
  // held until then.
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, absl::string_view method,
                                  Lane lane, Handler handler, int64_t reserve = 0);

  // One step of a stream. Never refused: streams are bounded by what they reserve.
  void PushSimulation(pipeline::WorkerPool::Task task);

  // Thread-safe.
  void Collect(MetricSet* out) const;

  MemoryBudget& memory() { return memory_; }
  StallWatch& stalls() { return stalls_; }
  Clock* clock() { return options_.clock; }
  int simulation_threads() const { return simulations_.threads(); }

 private:
  class PooledCall;

  // Counts a call that waits; false: too many.
  bool EnterQueue(Lane lane);
  void LeaveQueue(Lane lane);

  const Options options_;
  CallStats stats_;
  pipeline::WorkerPool simulations_;
  MemoryBudget memory_;
  StallWatch stalls_;
  pipeline::WorkerPool blocking_;
  std::shared_ptr<pipeline::WorkerPool::Queue> simulation_queue_;
  std::shared_ptr<pipeline::WorkerPool::Queue> blocking_queue_;
  mutable Mutex mutex_;
  int waiting_[3] ABSL_GUARDED_BY(mutex_) = {};
};

// Runs `work` and turns what it throws (out of memory, above all) into a status: nothing may fly
// into gRPC.
absl::Status WithoutExceptions(const std::function<absl::Status()>& work);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_CALL_RUNNER_H_
