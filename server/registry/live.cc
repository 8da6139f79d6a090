// The ends of a component instance's life: validate, create and destroy, each on a call thread.
#include "server/registry/live.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/registry/call_threads.h"
#include "server/registry/contain.h"
#include "server/registry/instance_context.h"
#include "server/registry/plugin_call.h"
#include "server/registry/text.h"
#include "server/registry/verdict.h"

namespace mfn::registry {
namespace {

// Instances bound their own; this bounds those that one instance after the other would leave.
constexpr int kMaxStuckThreads = 64;

mfn_code Validate(PluginCall& call) {
  Live& live = *call.live;
  return live.context->component->table.validate(&*call.call, &live.host, Bytes(live.config_json));
}

mfn_code Create(PluginCall& call) {
  Live& live = *call.live;
  void* self = nullptr;
  const mfn_code code = live.context->component->table.create(&*call.call, &live.host,
                                                              Bytes(live.config_json), &self);
  if (code == MFN_OK) live.self = self;
  return code;
}

mfn_code Destroy(PluginCall& call) {
  Contain("destroy", [&] { call.live->context->component->table.destroy(call.live->self); });
  return MFN_OK;
}

// On a call thread nobody waits; elsewhere destroy gets a thread that can be left behind.
struct Destroyer {
  void operator()(Live* last) const {
    std::shared_ptr<Live> live(last);
    if (live->self == nullptr) return;
    const std::shared_ptr<const InstanceContext> context = live->context;
    absl::StatusOr<CallThreads::Lease> lease =
        CallThreads::OnCallThread() ? absl::ResourceExhaustedError("") : context->threads->Take();
    if (!lease.ok()) {
      Contain("destroy", [&] { context->component->table.destroy(live->self); });
      return;
    }
    Clock* const clock = Clock::Real();  // what waits here is a shutdown
    PluginCall& call = **lease;
    call.what = "destroy";
    call.code = Destroy;
    call.call.emplace(clock, clock->MonotonicNanos() + live->destroy_bound_ns, Cancellation(),
                      Cancellation(), &call.cancel_fd);
    call.live = std::move(live);
    lease->Run(clock, context->options.overrun_grace);
  }
};

// Text of a failed validate or create, with the field that the plugin named.
absl::Status ConfigStatus(const PluginCall& call) {
  const Failure failure = Judge(call.returned, call.call->failure, *call.call).failure;
  return absl::InvalidArgumentError(absl::StrCat(
      failure.field.empty() ? "" : absl::StrCat(failure.field, ": "), failure.message));
}

absl::Status Run(const std::shared_ptr<Live>& live, const char* what, PluginCall::Code code,
                 const Cancellation& cancel, const Cancellation& stopped) {
  const InstanceContext& context = *live->context;
  if (StuckPluginThreads() >= kMaxStuckThreads) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMaxStuckThreads,
                     " threads are stuck in plugin calls; no instance is made until one returns; "
                     "restart the server, and correct the plugin"));
  }
  absl::StatusOr<CallThreads::Lease> lease = context.threads->Take();
  if (!lease.ok()) return lease.status();
  Clock* const clock = context.options.clock;
  PluginCall& call = **lease;
  call.what = what;
  call.code = code;
  call.live = live;
  call.call.emplace(clock, Later(clock->MonotonicNanos(), context.config.timeout), cancel, stopped,
                    &call.cancel_fd);
  if (!lease->Run(clock, context.options.overrun_grace)) {
    return absl::DeadlineExceededError(
        absl::StrCat("the plugin's ", what, " does not return; its thread is written off"));
  }
  return call.returned == MFN_OK ? absl::OkStatus() : ConfigStatus(call);
}

}  // namespace

Live::Live(std::shared_ptr<const InstanceContext> context_in, std::string config_json_in)
    : context(std::move(context_in)),
      config_json(std::move(config_json_in)),
      host(context),
      epoch(context->NextEpoch()) {}

absl::Status ValidateByComponent(const std::shared_ptr<const InstanceContext>& context) {
  if (context->component->table.validate == nullptr) return absl::OkStatus();
  // Never created, so never destroyed.
  const auto live = std::make_shared<Live>(context, context->config.config_json);
  return Run(live, "validate", Validate, Cancellation(), Cancellation());
}

absl::StatusOr<std::shared_ptr<Live>> MakeLive(std::shared_ptr<const InstanceContext> context,
                                               std::string config_json, const Cancellation& cancel,
                                               const Cancellation& stopped) {
  const std::shared_ptr<Live> live(new Live(std::move(context), std::move(config_json)),
                                   Destroyer());
  if (absl::Status s = Run(live, "create", Create, cancel, stopped); !s.ok()) return s;
  if (live->self == nullptr) {
    return absl::InternalError("the plugin's create returned MFN_OK and no instance");
  }
  return live;
}

}  // namespace mfn::registry
