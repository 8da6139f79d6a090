// Instance over a component. Every call goes one way:
//
//   Read/Write/...  ->  Guarded  ->  resilience::Guard::Call  ->  Attempt (connects if need be)
//     ->  Invoke, the only place that runs plugin code of a live instance
//
// The slot (who may be inside) is the guard's admission: entered before the breaker is acquired.
#include "server/registry/instance_impl.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/registry/batch_check.h"
#include "server/registry/call_gate.h"
#include "server/registry/live.h"
#include "server/registry/pending_write.h"
#include "server/registry/text.h"
#include "server/registry/verdict.h"
#include "server/resilience/guarded_call.h"

namespace mfn::registry {
namespace {

using Mode = CallGate::Mode;
using resilience::Breaker;
using resilience::CallOptions;
using resilience::Outcome;

// The ABI allows 250 ms after the deadline; as much again is the machine's.
constexpr absl::Duration kOverrun = absl::Milliseconds(500);
// How long before its bound Close cancels what still runs.
constexpr absl::Duration kCancelLead = absl::Milliseconds(500);
constexpr uint64_t kMaxExecuteRecords = 1 << 20;

int64_t Later(int64_t now_ns, absl::Duration duration) {
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  return nanos > INT64_MAX - now_ns ? INT64_MAX : now_ns + nanos;
}

class InstanceImpl final : public Instance {
 public:
  InstanceImpl(std::shared_ptr<Live> live, const InstanceConfig& config,
               const RegistryOptions& options)
      : config_(config),
        clock_(options.clock),
        component_(live->component),
        guard_(config.retry, config.breaker, options.clock, options.sleeper, options.random),
        stopped_(guard_.stopped()),
        gate_(component_->max_in_flight, options.clock),
        live_(std::move(live)) {}

  const InstanceConfig& config() const override { return config_; }
  bool has_source() const override { return component_->info.source; }
  bool has_sink() const override { return component_->info.sink; }
  bool has_executor() const override { return component_->info.executor; }
  bool concurrent_ack() const override { return (component_->flags & MFN_CONCURRENT_ACK) != 0; }
  bool deferred() const override { return component_->info.deferred; }
  bool dedups_by_key() const override { return component_->info.dedups_by_key; }
  int max_in_flight() const override { return component_->max_in_flight; }
  InstanceStatus status() const override;

  absl::Status Connect(const Cancellation& cancel) override;
  absl::Status Check(const Cancellation& cancel) override;
  ReadResult Read(uint64_t max_records, uint64_t max_bytes, absl::Duration wait,
                  const Cancellation& cancel) override;
  Failure Ack(const OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
              const Cancellation& cancel) override;
  Failure LaneReleased(uint64_t lane, const Cancellation& cancel) override;
  WriteResult Write(const SharedRecords& records, const Cancellation& cancel) override;
  Failure Flush(const Cancellation& cancel) override;
  ReadResult Execute(const SharedRecords& request, bool idempotent,
                     const Cancellation& cancel) override;
  void Close(absl::Duration bound) override;

 private:
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
    bool health_check = false;
  };
  using Function = absl::FunctionRef<Verdict(const std::shared_ptr<Live>&, mfn_call*)>;
  using PluginCode = absl::FunctionRef<mfn_code()>;

  Request MakeRequest(Mode mode, const Cancellation& cancel) const {
    return Request{mode, config_.timeout, &cancel};
  }
  Failure Guarded(const Request& request, Function function);
  Verdict TryOnce(const Request& request, int64_t total_deadline_ns, Slot* slot, Function function);
  Verdict ConnectNow(const std::shared_ptr<Live>& live, const Request& request,
                     int64_t total_deadline_ns);
  mfn_code Invoke(const mfn_call& call, PluginCode code);
  Verdict TakeBatch(const std::shared_ptr<Live>& live, const mfn_batch& batch,
                    const BatchLimits& limits, OwnedBatch* out);
  int64_t TotalDeadline(absl::Duration timeout) const;
  std::shared_ptr<Live> live() const {
    MutexLock lock(&mutex_);
    return live_;
  }
  Failure Unsupported(const char* what) const;
  void ShowWrite(absl::Span<const mfn_record> records, const WriteResult& result);
  void Remember(const Failure& failure);

  const InstanceConfig config_;
  Clock* const clock_;
  const std::shared_ptr<const Component> component_;
  resilience::Guard guard_;
  const Cancellation stopped_;
  CallGate gate_;
  std::atomic<bool> connected_{false}, ever_connected_{false};
  std::atomic<uint64_t> epoch_{0};  // of the session; a failure of an older one says nothing of it
  std::atomic<uint64_t> overruns_{0}, records_in_{0}, records_out_{0};
  std::atomic<bool> failing_{false};  // last_error_ is set

  mutable Mutex mutex_;
  std::shared_ptr<Live> live_ ABSL_GUARDED_BY(mutex_);  // null: closed
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_error_time_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

Failure InstanceImpl::Guarded(const Request& request, Function function) {
  Slot slot(this, request.mode);
  CallOptions options;
  options.deadline_ns = TotalDeadline(request.timeout);
  options.attempt_timeout = request.timeout;
  options.idempotent = request.idempotent;
  options.single_attempt = request.single_attempt || request.health_check;
  options.ignore_breaker = request.health_check;
  options.admission = &slot;
  options.cancel = *request.cancel;
  Failure last;
  const resilience::CallResult result =
      guard_.Call(options, [&](const resilience::Attempt& attempt) {
        Verdict verdict = TryOnce(request, attempt.total_deadline_ns, &slot, function);
        last = std::move(verdict.failure);
        return resilience::AttemptResult{verdict.outcome, last.retry_after};
      });
  Failure failure = Conclude(result, std::move(last), gate_.closed());
  if (!request.health_check) Remember(failure);
  return failure;
}

Verdict InstanceImpl::TryOnce(const Request& request, int64_t total_deadline_ns, Slot* slot,
                              Function function) {
  const std::shared_ptr<Live> live = this->live();
  if (live == nullptr) {
    Verdict closed = Refused(MFN_CANCELLED, "INSTANCE_CLOSED", "the instance is closed");
    closed.outcome = Outcome::kCancelled;
    return closed;
  }
  if (slot->alone()) {
    if (!connected_.load()) {
      Verdict verdict = ConnectNow(live, request, total_deadline_ns);
      if (verdict.outcome != Outcome::kOk) return verdict;
    }
    slot->Settle();
  }
  const uint64_t epoch = epoch_.load();
  // Begun here and not before connect: a short read may need a slow connect first.
  const int64_t now = clock_->MonotonicNanos();
  mfn_call call(clock_, std::min(total_deadline_ns, Later(now, request.timeout)), request.cancel,
                &stopped_);
  Verdict verdict = function(live, &call);
  const bool lost = verdict.outcome == Outcome::kNotConnected || verdict.outcome == Outcome::kAuth;
  if (lost && epoch == epoch_.load() && !request.health_check) connected_.store(false);
  return verdict;
}

Verdict InstanceImpl::ConnectNow(const std::shared_ptr<Live>& live, const Request& request,
                                 int64_t total_deadline_ns) {
  if (component_->table.connect != nullptr) {
    const int64_t deadline = Later(clock_->MonotonicNanos(), config_.timeout);
    mfn_call call(clock_, std::min(total_deadline_ns, deadline), request.cancel, &stopped_);
    const mfn_code code =
        Invoke(call, [&] { return component_->table.connect(live->self, &call); });
    Verdict verdict = Judge(code, std::move(call.failure), call);
    if (verdict.outcome != Outcome::kOk) return verdict;
  }
  epoch_.fetch_add(1);
  ever_connected_.store(true);
  connected_.store(true);
  return Verdict();
}

mfn_code InstanceImpl::Invoke(const mfn_call& call, PluginCode code) {
  const mfn_code returned = code();
  if (call.deadline_ns == INT64_MAX) return returned;
  const int64_t now = clock_->MonotonicNanos();
  if (now > Later(call.deadline_ns, kOverrun)) {
    overruns_.fetch_add(1, std::memory_order_relaxed);
    Log(LogLevel::kWarning, "registry", "a plugin call came back long after its deadline",
        {{"instance", config_.name},
         {"late", absl::FormatDuration(absl::Nanoseconds(now - call.deadline_ns))}});
  }
  return returned;
}

Verdict InstanceImpl::TakeBatch(const std::shared_ptr<Live>& live, const mfn_batch& batch,
                                const BatchLimits& limits, OwnedBatch* out) {
  OwnedBatch owned(batch, live);
  if (std::string fault = BatchFault(batch, limits); !fault.empty()) {
    return Refused(MFN_PERMANENT, "BAD_BATCH",
                   absl::StrCat("the plugin returned a batch that cannot be: ", fault));
  }
  records_in_.fetch_add(batch.n_records, std::memory_order_relaxed);
  if (taps().tapped()) taps().See(TapDirection::kIn, owned.records());
  *out = std::move(owned);
  return Verdict();
}

// Room for every attempt and every wait that the policy may ask for.
int64_t InstanceImpl::TotalDeadline(absl::Duration timeout) const {
  const absl::Duration attempt = std::max(timeout, config_.timeout);
  const absl::Duration total = attempt * (config_.retry.max_retries + 1) +
                               config_.retry.max_delay * config_.retry.max_retries;
  return Later(clock_->MonotonicNanos(), total);
}

Failure InstanceImpl::Unsupported(const char* what) const {
  return Refused(MFN_UNSUPPORTED, "UNSUPPORTED",
                 absl::StrCat("a component of type \"", config_.type, "\" is no ", what))
      .failure;
}

void InstanceImpl::Remember(const Failure& failure) {
  if (failure.ok()) {
    if (!failing_.exchange(false)) return;
    MutexLock lock(&mutex_);
    last_error_.clear();
    return;
  }
  if (failure.code == MFN_CANCELLED) return;
  failing_.store(true);
  MutexLock lock(&mutex_);
  last_error_ = absl::StrCat(failure.reason, ": ", failure.message);
  last_error_time_ = clock_->Now();
}

absl::Status InstanceImpl::Connect(const Cancellation& cancel) {
  const Failure failure =
      Guarded(MakeRequest(Mode::kWorker, cancel),
              [](const std::shared_ptr<Live>&, mfn_call*) { return Verdict(); });
  return ToStatus(failure, config_.name);
}

absl::Status InstanceImpl::Check(const Cancellation& cancel) {
  if (component_->table.check == nullptr) return absl::OkStatus();
  Request request = MakeRequest(Mode::kAny, cancel);
  request.health_check = true;
  const Failure failure = Guarded(request, [&](const std::shared_ptr<Live>& live, mfn_call* call) {
    const mfn_code code = Invoke(*call, [&] { return component_->table.check(live->self, call); });
    return Judge(code, std::move(call->failure), *call);
  });
  return ToStatus(failure, config_.name);
}

ReadResult InstanceImpl::Read(uint64_t max_records, uint64_t max_bytes, absl::Duration wait,
                              const Cancellation& cancel) {
  ReadResult result;
  if (!has_source()) {
    result.failure = Unsupported("source");
    return result;
  }
  Request request = MakeRequest(Mode::kWorker, cancel);
  request.timeout = wait;
  result.failure = Guarded(request, [&](const std::shared_ptr<Live>& live, mfn_call* call) {
    mfn_batch batch = {};
    const mfn_code code = Invoke(*call, [&] {
      return component_->source.read(live->self, call, max_records, max_bytes, &batch);
    });
    // Time that passes without records is what the caller asked to wait for.
    if (code == MFN_CANCELLED && !call->cancelled()) return Verdict();
    if (code != MFN_OK && code != MFN_END) return Judge(code, std::move(call->failure), *call);
    result.end = code == MFN_END;
    return TakeBatch(live, batch, {max_records, max_bytes}, &result.batch);
  });
  return result;
}

Failure InstanceImpl::Ack(const OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
                          const Cancellation& cancel) {
  if (!has_source()) return Unsupported("source");
  const Mode mode = concurrent_ack() ? Mode::kAck : Mode::kWorker;
  return Guarded(MakeRequest(mode, cancel), [&](const std::shared_ptr<Live>& live, mfn_call* call) {
    const mfn_code code = Invoke(*call, [&] {
      return component_->source.ack(live->self, call, batch.ack_id(),
                                    outcomes.empty() ? nullptr : outcomes.data(), outcomes.size());
    });
    return Judge(code, std::move(call->failure), *call);
  });
}

Failure InstanceImpl::LaneReleased(uint64_t lane, const Cancellation& cancel) {
  if (!has_source()) return Unsupported("source");
  if (component_->source.lane_released == nullptr) return Failure();
  return Guarded(
      MakeRequest(Mode::kWorker, cancel), [&](const std::shared_ptr<Live>& live, mfn_call* call) {
        const mfn_code code =
            Invoke(*call, [&] { return component_->source.lane_released(live->self, call, lane); });
        return Judge(code, std::move(call->failure), *call);
      });
}

WriteResult InstanceImpl::Write(const SharedRecords& shared, const Cancellation& cancel) {
  const absl::Span<const mfn_record> records = shared.records;
  WriteResult result;
  if (!has_sink()) {
    result.failure = Unsupported("sink");
    return result;
  }
  if (records.empty()) return result;
  PendingWrite pending(records);
  auto request = MakeRequest(Mode::kParallel, cancel);
  request.single_attempt = config().delivery == DeliveryGuarantee::kAtMostOnce;
  Failure failure = Guarded(request, [&](const std::shared_ptr<Live>& live, mfn_call* call) {
    mfn_batch batch = {};
    batch.records = pending.records().data();
    batch.n_records = pending.records().size();
    call->n_records = batch.n_records;
    const mfn_code code =
        Invoke(*call, [&] { return component_->sink.write(live->self, call, &batch); });
    return pending.Settle(code, call);
  });
  result = pending.Finish(std::move(failure));
  if (result.failure.ok()) {
    records_out_.fetch_add(records.size() - result.failed.size(), std::memory_order_relaxed);
  }
  if (taps().tapped()) ShowWrite(records, result);
  return result;
}

void InstanceImpl::ShowWrite(absl::Span<const mfn_record> records, const WriteResult& result) {
  auto failed = result.failed.begin();
  for (size_t k = 0; k < records.size(); ++k) {
    const bool own = failed != result.failed.end() && failed->index == k;
    taps().See(TapDirection::kOut, records.subspan(k, 1),
               own ? failed->failure.code : result.failure.code);
    if (own) ++failed;
  }
}

Failure InstanceImpl::Flush(const Cancellation& cancel) {
  if (!has_sink()) return Unsupported("sink");
  if (component_->sink.flush == nullptr) return Failure();
  return Guarded(MakeRequest(Mode::kExclusive, cancel), [&](const std::shared_ptr<Live>& live,
                                                            mfn_call* call) {
    const mfn_code code = Invoke(*call, [&] { return component_->sink.flush(live->self, call); });
    return Judge(code, std::move(call->failure), *call);
  });
}

ReadResult InstanceImpl::Execute(const SharedRecords& input, bool idempotent,
                                 const Cancellation& cancel) {
  ReadResult result;
  if (!has_executor()) {
    result.failure = Unsupported("executor");
    return result;
  }
  Request request = MakeRequest(Mode::kParallel, cancel);
  request.idempotent = idempotent;
  result.failure = Guarded(request, [&](const std::shared_ptr<Live>& live, mfn_call* call) {
    mfn_batch batch = {};
    const mfn_code code = Invoke(*call, [&] {
      return component_->executor.execute(live->self, call, &input.records[0], &batch);
    });
    if (code != MFN_OK) return Judge(code, std::move(call->failure), *call);
    return TakeBatch(live, batch, {kMaxExecuteRecords, kMaxBatchBytes}, &result.batch);
  });
  if (taps().tapped()) {
    taps().See(TapDirection::kOut, absl::MakeConstSpan(input.records).subspan(0, 1),
               result.failure.code);
  }
  return result;
}

InstanceStatus InstanceImpl::status() const {
  const resilience::CallMetrics metrics = guard_.metrics();
  InstanceStatus status;
  const Breaker::State breaker = guard_.breaker_state();
  status.breaker = breaker == Breaker::State::kOpen       ? BreakerState::kOpen
                   : breaker == Breaker::State::kHalfOpen ? BreakerState::kHalfOpen
                                                          : BreakerState::kClosed;
  status.state = gate_.closed()                                   ? InstanceState::kClosed
                 : connected_.load()                              ? InstanceState::kConnected
                 : ever_connected_.load() || metrics.attempts > 0 ? InstanceState::kDisconnected
                                                                  : InstanceState::kCreated;
  status.calls = metrics.calls;
  status.attempts = metrics.attempts;
  status.successes = metrics.successes;
  status.failures = metrics.failures;
  status.retries = metrics.retries;
  status.rejected = metrics.rejected;
  status.breaker_opened = guard_.breaker_opened();
  status.overruns = overruns_.load();
  status.records_in = records_in_.load();
  status.records_out = records_out_.load();
  if (metrics.attempts > 0) {
    status.mean_attempt_ms =
        static_cast<double>(metrics.attempt_nanos) * 1e-6 / static_cast<double>(metrics.attempts);
  }
  MutexLock lock(&mutex_);
  if (live_ != nullptr) status.plugin_metrics = live_->host.Metrics();
  status.last_error = last_error_;
  status.last_error_time = last_error_time_;
  return status;
}

void InstanceImpl::Close(absl::Duration bound) {
  gate_.Close();
  const absl::Duration lead = std::min(bound, kCancelLead);
  bool idle = gate_.WaitIdle(bound - lead);
  guard_.Stop();
  if (!idle) idle = gate_.WaitIdle(lead);
  if (!idle) {
    Log(LogLevel::kError, "registry", "a plugin call did not end; its instance is written off",
        {{"instance", config_.name}});
  }
  std::shared_ptr<Live> last;  // destroyed outside of the mutex
  MutexLock lock(&mutex_);
  last.swap(live_);
}

// Text of a failed validate or create, with the field that the plugin named.
absl::Status ConfigStatus(mfn_code code, mfn_call* call) {
  const Failure failure = Judge(code, std::move(call->failure), *call).failure;
  return absl::InvalidArgumentError(absl::StrCat(
      failure.field.empty() ? "" : absl::StrCat(failure.field, ": "), failure.message));
}

}  // namespace

absl::Status ValidateByComponent(const Component& component, const InstanceConfig& config,
                                 const RegistryOptions& options) {
  if (component.table.validate == nullptr) return absl::OkStatus();
  const HostApi host(config.name, options.state);
  const Cancellation never;
  mfn_call call(options.clock, Later(options.clock->MonotonicNanos(), config.timeout), &never,
                &never);
  const mfn_code code = component.table.validate(&call, &host, Bytes(config.config_json));
  return code == MFN_OK ? absl::OkStatus() : ConfigStatus(code, &call);
}

absl::StatusOr<std::shared_ptr<Instance>> MakeInstance(std::shared_ptr<const Component> component,
                                                       const InstanceConfig& config,
                                                       const RegistryOptions& options) {
  auto live = std::make_shared<Live>(std::move(component), config.name, options.state);
  const Cancellation never;
  mfn_call call(options.clock, Later(options.clock->MonotonicNanos(), config.timeout), &never,
                &never);
  void* self = nullptr;
  const mfn_code code =
      live->component->table.create(&call, &live->host, Bytes(config.config_json), &self);
  if (code != MFN_OK) return ConfigStatus(code, &call);
  if (self == nullptr) {
    return absl::InternalError("the plugin's create returned MFN_OK and no instance");
  }
  live->self = self;
  return std::make_shared<InstanceImpl>(std::move(live), config, options);
}

}  // namespace mfn::registry
