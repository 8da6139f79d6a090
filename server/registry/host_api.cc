// The host's functions. They are called by plugins, so they trust no length and throw nothing.
#include "server/registry/host_api.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "mfn/ext/cancel_fd.h"
#include "mfn/ext/secrets.h"
#include "mfn/ext/state.h"
#include "server/base/log.h"
#include "server/base/secret_references.h"
#include "server/registry/instance_context.h"
#include "server/registry/text.h"
#include "server/store/state_store.h"

namespace mfn::registry {
namespace {

constexpr size_t kMaxReason = 64, kMaxMessage = 4096, kMaxField = 1024, kMaxName = 128;
constexpr uint64_t kMaxLabels = 16;
constexpr uint32_t kMinFailure = offsetof(mfn_failure, field) + sizeof(mfn_bytes);

Failure CopyFailure(const mfn_failure* from) {
  Failure failure;
  uint32_t size = 0;
  if (from != nullptr) std::memcpy(&size, from, sizeof(size));
  if (size < kMinFailure) return failure;
  mfn_failure read = {};
  std::memcpy(&read, from, std::min<size_t>(size, sizeof(read)));
  failure.code = read.code;
  failure.reason = CleanText(read.reason, kMaxReason);
  failure.message = CleanText(read.message, kMaxMessage);
  failure.field = CleanText(read.field, kMaxField);
  if (read.retry_after_ms > 0) failure.retry_after = absl::Milliseconds(read.retry_after_ms);
  return failure;
}

mfn_code CodeOf(const absl::Status& status) {
  if (status.ok()) return MFN_OK;
  return absl::IsInvalidArgument(status) ? MFN_PERMANENT : MFN_RETRYABLE;
}

}  // namespace

struct HostApi::Functions {
  static const HostApi* Self(const mfn_host* host) { return static_cast<const HostApi*>(host); }

  static void LogLine(const mfn_host* host, int32_t level, mfn_bytes message) {
    const InstanceContext& context = *Self(host)->context_;
    const auto left_out = Self(host)->log_limit_.Pass(context.options.clock->MonotonicNanos());
    if (!left_out.has_value()) return;
    if (*left_out > 0) {
      Log(LogLevel::kWarning, "plugin", "lines of the plugin were left out: it logs too much",
          {{"instance", context.config.name}, {"lines", absl::StrCat(*left_out)}});
    }
    const int32_t known = std::clamp<int32_t>(level, MFN_LOG_DEBUG, MFN_LOG_ERROR);
    Log(static_cast<LogLevel>(known), "plugin", CleanText(message, kMaxMessage),
        {{"instance", context.config.name}});
  }

  static uint64_t Register(const mfn_host* host, int32_t kind, mfn_bytes name, const mfn_kv* labels,
                           uint64_t n) {
    if ((kind != MFN_METRIC_COUNTER && kind != MFN_METRIC_GAUGE) || n > kMaxLabels) return 0;
    PluginMetric metric;
    metric.gauge = kind == MFN_METRIC_GAUGE;
    metric.name = CleanText(name, kMaxName);
    if (metric.name.empty()) return 0;
    for (uint64_t i = 0; i < n; ++i) {
      metric.labels.emplace_back(CleanText(labels[i].key, kMaxName),
                                 CleanText(labels[i].value, kMaxName));
    }
    const HostApi* self = Self(host);
    if (self->fenced_) return 0;
    return self->context_->metrics.Register(std::move(metric));
  }

  static void Add(const mfn_host* host, uint64_t id, double value) {
    if (!Self(host)->fenced_) Self(host)->context_->metrics.Add(id, value);
  }

  static int32_t Cancelled(const mfn_call* call) {
    if (call->given_up.load() || call->cancelled()) return 1;
    return call->clock->MonotonicNanos() >= call->deadline_ns ? 1 : 0;
  }
  static int64_t Deadline(const mfn_call* call) { return call->deadline_ns; }

  // Another thread than the call's would write beside it.
  static bool IsForeign(const mfn_call* call) { return call->thread != std::this_thread::get_id(); }

  static void Fail(mfn_call* call, const mfn_failure* failure) {
    if (IsForeign(call)) return;
    call->failure = CopyFailure(failure);
  }
  static void FailRecord(mfn_call* call, uint64_t index, const mfn_failure* failure) {
    if (IsForeign(call) || index >= call->n_records) return;
    // A plugin that names records over and over may not fill the memory; the last word counts.
    for (auto& known : call->records) {
      if (call->records.size() < 2 * call->n_records) break;
      if (known.index == index) {
        known.failure = CopyFailure(failure);
        return;
      }
    }
    call->records.push_back({index, CopyFailure(failure)});
  }

  static mfn_code Put(const mfn_host* host, mfn_bytes key, mfn_bytes value) {
    const HostApi* self = Self(host);
    if (self->fenced_) return MFN_CANCELLED;
    const std::string& owner = self->context_->config.name;
    store::StateStore* const state = self->context_->options.state;
    if (value.data == nullptr) return CodeOf(state->Erase(owner, View(key)));
    return CodeOf(state->Put(owner, View(key), View(value)));
  }
  static mfn_code Get(const mfn_host* host, mfn_bytes key,
                      void (*found)(void* context, mfn_bytes value), void* context) {
    const HostApi* self = Self(host);
    if (self->fenced_) return MFN_CANCELLED;
    const auto value = self->context_->options.state->Get(self->context_->config.name, View(key));
    if (!value.ok()) return CodeOf(value.status());
    if (value->has_value()) found(context, Bytes(**value));
    return MFN_OK;
  }
  static mfn_code List(const mfn_host* host, mfn_bytes prefix,
                       int32_t (*each)(void* context, mfn_bytes key, mfn_bytes value),
                       void* context) {
    const HostApi* self = Self(host);
    if (self->fenced_) return MFN_CANCELLED;
    return CodeOf(
        self->context_->options.state->List(self->context_->config.name, View(prefix),
                                            [&](absl::string_view key, absl::string_view value) {
                                              return each(context, Bytes(key), Bytes(value)) != 0;
                                            }));
  }

  static mfn_code Resolve(const mfn_host* host, mfn_bytes field,
                          void (*found)(void* context, mfn_bytes value), void* context) {
    const InstanceContext& instance = *Self(host)->context_;
    const absl::StatusOr<std::string> value =
        ResolveField(instance.config, View(field), instance.options.env);
    if (value.ok()) {
      found(context, Bytes(*value));
      return MFN_OK;
    }
    Log(LogLevel::kWarning, "registry", "a secret could not be resolved",
        {{"instance", instance.config.name}, {"error", std::string(value.status().message())}});
    return absl::IsNotFound(value.status()) ? MFN_PERMANENT : MFN_RETRYABLE;
  }

  static int32_t Fd(mfn_call* call) { return call->cancel_fd->Get(call->cancel, call->stopped); }

  static const void* Extension(const mfn_host* host, const char* id) {
    static const mfn_state_v1 state = {sizeof(mfn_state_v1), 0, Put, Get, List};
    static const mfn_secrets_v1 secrets = {sizeof(mfn_secrets_v1), 0, Resolve};
    static const mfn_cancel_fd_v1 cancel_fd = {sizeof(mfn_cancel_fd_v1), 0, Fd};
    if (id == nullptr) return nullptr;
    const absl::string_view name(id);
    if (name == MFN_CANCEL_FD_V1) return &cancel_fd;
    if (name == MFN_SECRETS_V1) {
      Self(host)->resolves_secrets_.store(true);
      return &secrets;
    }
    const bool keeps_state = Self(host)->context_->options.state != nullptr;
    return name == MFN_STATE_V1 && keeps_state ? &state : nullptr;
  }
};

int64_t Later(int64_t now_ns, absl::Duration duration) {
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  return nanos > INT64_MAX - now_ns ? INT64_MAX : now_ns + nanos;
}

HostApi::HostApi(std::shared_ptr<const InstanceContext> context)
    : mfn_host(), context_(std::move(context)) {
  struct_size = sizeof(mfn_host);
  abi_minor = MFN_ABI_MINOR;
  name = "mfnd";
  version = MFN_VERSION;
  log = Functions::LogLine;
  metric = Functions::Register;
  metric_add = Functions::Add;
  cancelled = Functions::Cancelled;
  deadline_ns = Functions::Deadline;
  fail = Functions::Fail;
  fail_record = Functions::FailRecord;
  extension = Functions::Extension;
}

}  // namespace mfn::registry
