// The guarded way of a call, and the life of an instance: connect, replace, close.
#include "server/registry/instance_impl.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/log.h"
#include "server/base/secret_references.h"

namespace mfn::registry {
namespace {

using resilience::CallOptions;
using resilience::Outcome;

// A call that comes back this long after its deadline has overrun: the ABI allows 250 ms; as much
// again is the machine's.
constexpr absl::Duration kOverrun = absl::Milliseconds(500);
// How long before its bound Close cancels what still runs, beside the grace that this then has.
constexpr absl::Duration kCancelLead = absl::Milliseconds(500);

mfn_code CallConnect(PluginCall& c) {
  return c.live->context->component->table.connect(c.live->self, &*c.call);
}

Verdict Closed() {
  Verdict closed = Refused(MFN_CANCELLED, "INSTANCE_CLOSED", "the instance is closed");
  closed.outcome = Outcome::kCancelled;
  return closed;
}

// Not this call's fault, but trying again at once is no help either.
Verdict NotNow(const char* reason, std::string message) {
  Verdict verdict = Refused(MFN_NOT_CONNECTED, reason, std::move(message));
  verdict.outcome = Outcome::kNotConnected;
  return verdict;
}

}  // namespace

InstanceImpl::InstanceImpl(std::shared_ptr<const InstanceContext> context,
                           std::shared_ptr<Live> live)
    : context_(std::move(context)),
      config_(context_->config),
      component_(*context_->component),
      clock_(context_->options.clock),
      guard_({config_.retry, config_.breaker, config_.rate_limit, config_.max_concurrent_calls},
             clock_, context_->options.sleeper, context_->options.random),
      stopped_(guard_.stopped()),
      gate_(component_.max_in_flight, clock_),
      live_(std::move(live)) {}

Failure InstanceImpl::Guarded(const Request& request, const Operation* operation) {
  Slot slot(this, request.mode);
  CallOptions options;
  options.deadline_ns = TotalDeadline(request.timeout);
  options.attempt_timeout_ns = absl::ToInt64Nanoseconds(request.timeout);
  options.idempotent = request.idempotent;
  options.single_attempt = request.single_attempt || request.health_check;
  options.free_retries = request.free_retries;
  options.health_check = request.health_check;
  // An attempt may have to make the component instance and connect it first.
  options.probe_bound_ns = absl::ToInt64Nanoseconds(request.timeout + 2 * config_.timeout +
                                                    context_->options.overrun_grace);
  options.admission = &slot;
  options.cancel = *request.cancel;
  Failure last;
  const resilience::CallResult result =
      guard_.Call(options, [&](const resilience::Attempt& attempt) {
        Verdict verdict = TryOnce(request, attempt.total_deadline_ns, &slot, operation);
        last = std::move(verdict.failure);
        return resilience::AttemptResult{verdict.outcome, last.retry_after};
      });
  Failure failure = Conclude(result, std::move(last), gate_.closed());
  if (!request.health_check) Remember(failure);
  return failure;
}

Verdict InstanceImpl::TryOnce(const Request& request, int64_t total_deadline_ns, Slot* slot,
                              const Operation* operation) {
  bool closed = false;
  std::shared_ptr<Live> live = this->live(&closed);
  if (closed) return Closed();
  // An empty batch came from none.
  const OwnedBatch* const batch = operation == nullptr ? nullptr : operation->batch;
  if (batch != nullptr && !batch->CameFrom(nullptr) && !batch->CameFrom(live.get())) {
    return Refused(
        MFN_PERMANENT, "INSTANCE_REPLACED",
        "the source was made anew after it gave this batch, and gives its records again");
  }
  if (context_->stuck.load() >= context_->options.max_stuck_calls) {
    return Refused(MFN_RETRYABLE, "TOO_MANY_STUCK_CALLS",
                   absl::StrCat(context_->options.max_stuck_calls,
                                " calls of this instance do not return; no other is made until "
                                "one of them does; restart the server, and correct the plugin"));
  }
  if (slot->alone()) {
    if (!connected_.load()) {
      Verdict verdict = Establish(&live, request, total_deadline_ns);
      if (verdict.outcome != Outcome::kOk) return verdict;
    }
    slot->Settle();
  }
  if (operation == nullptr) return Verdict();
  if (live == nullptr) return NotNow("INSTANCE_REPLACED", "the instance is being made anew");
  const uint64_t epoch = epoch_.load();
  // Begun here and not before connect: a short read may need a slow connect first.
  const int64_t deadline =
      std::min(total_deadline_ns, Later(clock_->MonotonicNanos(), request.timeout));
  Verdict verdict = Invoke(live, request, deadline, *operation);
  const bool lost = verdict.outcome == Outcome::kNotConnected || verdict.outcome == Outcome::kAuth;
  if (lost && epoch == epoch_.load() && !request.health_check) connected_.store(false);
  return verdict;
}

Verdict InstanceImpl::Establish(std::shared_ptr<Live>* live, const Request& request,
                                int64_t total_deadline_ns) {
  if (*live == nullptr) {
    Verdict verdict = Replace(request, live);
    if (verdict.outcome != Outcome::kOk) return verdict;
  }
  if (component_.table.connect != nullptr) {
    const int64_t deadline = Later(clock_->MonotonicNanos(), config_.timeout);
    Verdict verdict = Invoke(*live, request, std::min(total_deadline_ns, deadline),
                             {"connect", CallConnect, GivenNothing, JudgeCode});
    if (verdict.outcome != Outcome::kOk) return verdict;
  }
  epoch_.fetch_add(1);
  ever_connected_.store(true);
  connected_.store(true);
  return Verdict();
}

Verdict InstanceImpl::Replace(const Request& request, std::shared_ptr<Live>* live) {
  absl::StatusOr<std::string> config_json = ResolveAll(config_, context_->options.env);
  if (!config_json.ok()) {
    return NotNow("SECRET_UNAVAILABLE", std::string(config_json.status().message()));
  }
  absl::StatusOr<std::shared_ptr<Live>> made =
      MakeLive(context_, *std::move(config_json), *request.cancel, stopped_);
  if (!made.ok()) {
    return NotNow("CREATE_FAILED",
                  absl::StrCat("the instance could not be made anew: ", made.status().message()));
  }
  MutexLock lock(&mutex_);
  if (closed_) return Closed();
  *live = live_ = *std::move(made);
  quarantined_ = false;
  ++replaced_;
  return Verdict();
}

Verdict InstanceImpl::Invoke(const std::shared_ptr<Live>& live, const Request& request,
                             int64_t deadline_ns, const Operation& operation) {
  absl::StatusOr<CallThreads::Lease> lease = context_->threads->Take();
  if (!lease.ok()) return NotNow("NO_THREAD", std::string(lease.status().message()));
  PluginCall& call = **lease;
  call.what = operation.what;
  call.code = operation.code;
  call.live = live;
  call.call.emplace(clock_, deadline_ns, *request.cancel, stopped_, &call.cancel_fd);
  call.call->overrides = &config_.retry.overrides;
  operation.prepare(call);
  if (!lease->Run(clock_, context_->options.overrun_grace)) {
    return Overran(live, request, operation.what);
  }
  if (clock_->MonotonicNanos() > Later(deadline_ns, kOverrun)) {
    context_->overruns.fetch_add(1, std::memory_order_relaxed);
    Log(LogLevel::kWarning, "registry", "a plugin call came back long after its deadline",
        {{"instance", config_.name}, {"function", operation.what}});
  }
  Verdict verdict = operation.judge(call);
  if (verdict.outcome == Outcome::kAuth) RetireIfSecretsChanged(live);
  return verdict;
}

Verdict InstanceImpl::Overran(const std::shared_ptr<Live>& live, const Request& request,
                              const char* what) {
  live->host.Fence();
  if (Retire(live, /*quarantined=*/true)) {
    Log(LogLevel::kError, "registry", "instance quarantined; the next call makes another",
        {{"instance", config_.name}, {"function", what}});
  }
  const bool cancelled = request.cancel->cancelled() || stopped_.cancelled();
  Verdict verdict =
      Refused(cancelled ? MFN_CANCELLED : MFN_RETRYABLE, "CALL_OVERRAN",
              absl::StrCat("the plugin's ", what, " was ", cancelled ? "cancelled" : "out of time",
                           " and does not return; it is written off, and whether it still takes "
                           "effect is not known"));
  verdict.outcome = cancelled ? Outcome::kCancelled : Outcome::kDeadline;
  return verdict;
}

bool InstanceImpl::Retire(const std::shared_ptr<Live>& live, bool quarantined) {
  MutexLock lock(&mutex_);
  if (live_ != live) return false;
  live_.reset();  // not the last one: the caller has it
  quarantined_ = quarantined;
  revoked_.clear();
  context_->metrics.ZeroGauges();
  epoch_.fetch_add(1);
  connected_.store(false);
  return true;
}

void InstanceImpl::RetireIfSecretsChanged(const std::shared_ptr<Live>& live) {
  if (config_.references.empty() || live->host.resolves_secrets()) return;
  const absl::StatusOr<std::string> now = ResolveAll(config_, context_->options.env);
  if (!now.ok()) {
    Log(LogLevel::kWarning, "registry", "credentials were refused, and no new ones can be read",
        {{"instance", config_.name}, {"error", std::string(now.status().message())}});
    return;
  }
  if (*now == live->config_json || !Retire(live, /*quarantined=*/false)) return;
  Log(LogLevel::kInfo, "registry", "credentials were refused and have changed; made anew with them",
      {{"instance", config_.name}});
}

std::shared_ptr<Live> InstanceImpl::live(bool* closed) const {
  MutexLock lock(&mutex_);
  *closed = closed_;
  return live_;
}

// Room for every attempt and every wait that the policy may ask for.
int64_t InstanceImpl::TotalDeadline(absl::Duration timeout) const {
  const absl::Duration attempt = std::max(timeout, config_.timeout);
  const absl::Duration total = attempt * (config_.retry.max_retries + 1) +
                               config_.retry.max_delay * config_.retry.max_retries;
  return Later(clock_->MonotonicNanos(), total);
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

InstanceStatus InstanceImpl::status() const {
  InstanceStatus status = StatusOf(guard_);
  status.overruns = context_->overruns.load();
  status.written_off = context_->written_off.load();
  status.stuck_calls = static_cast<uint64_t>(std::max(0, context_->stuck.load()));
  status.records_in = records_in_.load();
  status.records_out = records_out_.load();
  status.plugin_metrics = context_->metrics.Read();
  const bool called = ever_connected_.load() || status.attempts > 0;
  MutexLock lock(&mutex_);
  status.state = gate_.closed()      ? InstanceState::kClosed
                 : quarantined_      ? InstanceState::kQuarantined
                 : connected_.load() ? InstanceState::kConnected
                 : called            ? InstanceState::kDisconnected
                                     : InstanceState::kCreated;
  status.replaced = replaced_;
  status.last_error = last_error_;
  status.last_error_time = last_error_time_;
  return status;
}

void InstanceImpl::Close(absl::Duration bound) {
  const absl::Time until = absl::Now() + bound;
  gate_.Close();
  const absl::Duration lead = std::min(bound, kCancelLead + context_->options.overrun_grace);
  bool idle = gate_.WaitIdle(bound - lead);
  guard_.Stop();
  if (!idle) idle = gate_.WaitIdle(lead);
  if (!idle) {
    Log(LogLevel::kError, "registry", "a plugin call did not end; its instance is left to it",
        {{"instance", config_.name}});
  }
  std::shared_ptr<Live> last;  // destroyed outside of the mutex
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    last.swap(live_);
  }
  if (last == nullptr) return;
  last->destroy_bound_ns.store(
      absl::ToInt64Nanoseconds(std::max(absl::ZeroDuration(), until - absl::Now())));
}

absl::StatusOr<std::shared_ptr<Instance>> MakeInstance(
    std::shared_ptr<const InstanceContext> context) {
  absl::StatusOr<std::shared_ptr<Live>> live =
      MakeLive(context, context->config.config_json, Cancellation(), Cancellation());
  if (!live.ok()) return live.status();
  return std::make_shared<InstanceImpl>(std::move(context), *std::move(live));
}

}  // namespace mfn::registry
