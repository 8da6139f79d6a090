// The one implementation of Instance, over a component of a plugin. Every call goes one way:
//
//   Read/Write/...  ->  Guarded  ->  resilience::Guard::Call  ->  TryOnce (connects if need be)
//     ->  Invoke, the only place that runs plugin code of a live instance
//
// The slot (who may be inside) is the guard's admission: entered before the breaker is acquired.
// instance_impl.cc has this way and the life of the instance, instance_calls.cc what each function
// of the ABI is given and how its answer is judged.
#ifndef MFN_SERVER_REGISTRY_INSTANCE_IMPL_H_
#define MFN_SERVER_REGISTRY_INSTANCE_IMPL_H_

#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/registry/batch_check.h"
#include "server/registry/call_gate.h"
#include "server/registry/guard_status.h"
#include "server/registry/instance.h"
#include "server/registry/instance_context.h"
#include "server/registry/live.h"
#include "server/registry/plugin_call.h"
#include "server/registry/verdict.h"
#include "server/resilience/guarded_call.h"

namespace mfn::registry {

// Calls the component's create; does not connect. The configuration has been validated.
absl::StatusOr<std::shared_ptr<Instance>> MakeInstance(
    std::shared_ptr<const InstanceContext> context);

class InstanceImpl final : public Instance {
 public:
  InstanceImpl(std::shared_ptr<const InstanceContext> context, std::shared_ptr<Live> live);

  const InstanceConfig& config() const override { return config_; }
  bool has_source() const override { return component_.info.source; }
  bool has_sink() const override { return component_.info.sink; }
  bool has_executor() const override { return component_.info.executor; }
  bool concurrent_ack() const override { return (component_.flags & MFN_CONCURRENT_ACK) != 0; }
  bool deferred() const override { return component_.info.deferred; }
  bool dedups_by_key() const override { return component_.info.dedups_by_key; }
  int max_in_flight() const override { return component_.max_in_flight; }
  InstanceStatus status() const override;
  void ControlBreaker(BreakerAction action) override { Control(action, &guard_); }

  absl::Status Connect(const Cancellation& cancel) override;
  absl::Status Check(const Cancellation& cancel) override;
  ReadResult Read(uint64_t max_records, uint64_t max_bytes, absl::Duration wait,
                  const Cancellation& cancel) override;
  Failure Ack(const OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
              const Cancellation& cancel) override;
  Failure LaneReleased(uint64_t lane, const Cancellation& cancel) override;
  WriteResult Write(const SharedRecords& records, const Cancellation& cancel) override;
  Failure Flush(uint64_t epoch, const Cancellation& cancel) override;
  ReadResult Execute(const SharedRecords& request, bool idempotent,
                     const Cancellation& cancel) override;
  void Close(absl::Duration bound) override;

 private:
  using Mode = CallGate::Mode;

  // One attempt's place in the gate. Without a session it is taken alone, so that connect can run;
  // then the others are let in again.
  class Slot final : public resilience::Admission {
   public:
    Slot(InstanceImpl* instance, Mode mode) : instance_(instance), mode_(mode) {}
    bool Enter(int64_t deadline_ns, const Cancellation& cancel) override {
      const bool alone = mode_ != Mode::kAny && !instance_->connected_.load();
      held_ = alone ? Mode::kExclusive : mode_;
      return instance_->gate_.Enter(held_, deadline_ns, cancel);
    }
    void Leave() override { instance_->gate_.Leave(held_); }
    bool alone() const { return held_ == Mode::kExclusive; }
    void Settle() {
      if (held_ == mode_) return;
      instance_->gate_.Downgrade(mode_);
      held_ = mode_;
    }

   private:
    InstanceImpl* const instance_;
    const Mode mode_;
    Mode held_ = Mode::kAny;
  };

  struct Request {
    Mode mode = Mode::kWorker;
    absl::Duration timeout;  // of an attempt
    const Cancellation* cancel = nullptr;
    bool idempotent = true;
    bool single_attempt = false;  // a second one could deliver twice
    bool free_retries = false;    // not charged to the retry budget
    bool health_check = false;
  };
  // One function of the plugin. `prepare` puts in what it is given, `judge` looks at a call that
  // returned; both run on the caller's thread.
  struct Operation {
    const char* what;
    PluginCall::Code code;
    absl::FunctionRef<void(PluginCall&)> prepare;
    absl::FunctionRef<Verdict(PluginCall&)> judge;
    const OwnedBatch* batch = nullptr;  // only for the component instance that gave it
  };
  static void GivenNothing(PluginCall& /*call*/) {}
  static Verdict JudgeCode(PluginCall& call) {
    return Judge(call.returned, std::move(call.call->failure), *call.call);
  }

  Request MakeRequest(Mode mode, const Cancellation& cancel) const {
    return Request{mode, config_.timeout, &cancel};
  }
  // `operation` null: connects if there is no session, and no more.
  Failure Guarded(const Request& request, const Operation* operation);
  Failure Guarded(const Request& request, const Operation& operation) {
    return Guarded(request, &operation);
  }
  Verdict TryOnce(const Request& request, int64_t total_deadline_ns, Slot* slot,
                  const Operation* operation);
  // Makes the component instance if it is gone, and connects it.
  Verdict Establish(std::shared_ptr<Live>* live, const Request& request, int64_t total_deadline_ns);
  Verdict Replace(const Request& request, std::shared_ptr<Live>* live);
  Verdict Invoke(const std::shared_ptr<Live>& live, const Request& request, int64_t deadline_ns,
                 const Operation& operation);
  // No further call of it; the next one makes another. False: another thread was first.
  bool Retire(const std::shared_ptr<Live>& live, bool quarantined);
  Verdict Overran(const std::shared_ptr<Live>& live, const Request& request, const char* what);
  // After refused credentials: retires it if its secrets have changed since it was made.
  void RetireIfSecretsChanged(const std::shared_ptr<Live>& live);
  // Whether lane_released is owed to the present component instance for this lane.
  bool TakeRevoked(uint64_t lane);
  Verdict TakeBatch(const PluginCall& call, const BatchLimits& limits, OwnedBatch* out);
  int64_t TotalDeadline(absl::Duration timeout) const;
  // Null: retired, or *closed.
  std::shared_ptr<Live> live(bool* closed) const;
  Failure Unsupported(const char* what) const;
  void ShowWrite(absl::Span<const mfn_record> records, const WriteResult& result);
  void Remember(const Failure& failure);

  const std::shared_ptr<const InstanceContext> context_;
  const InstanceConfig& config_;
  const Component& component_;
  Clock* const clock_;
  resilience::Guard guard_;
  const Cancellation stopped_;
  CallGate gate_;
  std::atomic<bool> connected_{false}, ever_connected_{false};
  std::atomic<uint64_t> epoch_{0};  // of the session; a failure of an older one says nothing of it
  std::atomic<uint64_t> records_in_{0}, records_out_{0};
  std::atomic<bool> failing_{false};  // last_error_ is set

  mutable Mutex mutex_;
  std::shared_ptr<Live> live_ ABSL_GUARDED_BY(mutex_);  // null: retired or closed
  bool quarantined_ ABSL_GUARDED_BY(mutex_) = false;    // retired by a call that overran
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<uint64_t> revoked_ ABSL_GUARDED_BY(mutex_);  // lanes that wait for lane_released
  uint64_t replaced_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_error_time_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_INSTANCE_IMPL_H_
