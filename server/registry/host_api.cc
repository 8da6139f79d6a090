// The host's functions. They are called by plugins, so they trust no length and throw nothing.
#include "server/registry/host_api.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "mfn/ext/state.h"
#include "server/base/log.h"
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
    const int32_t known = std::clamp<int32_t>(level, MFN_LOG_DEBUG, MFN_LOG_ERROR);
    Log(static_cast<LogLevel>(known), "plugin", CleanText(message, kMaxMessage),
        {{"instance", Self(host)->instance_}});
  }

  static uint64_t Register(const mfn_host* host, int32_t kind, mfn_bytes name, const mfn_kv* labels,
                           uint64_t n) {
    if ((kind != MFN_METRIC_COUNTER && kind != MFN_METRIC_GAUGE) || n > kMaxLabels) return 0;
    // The instance is the host's own object; a plugin only ever holds it as const.
    auto* self = const_cast<HostApi*>(Self(host));
    auto made = std::make_unique<Metric>();
    PluginMetric& about = made->about;
    about.gauge = kind == MFN_METRIC_GAUGE;
    about.name = CleanText(name, kMaxName);
    if (about.name.empty()) return 0;
    for (uint64_t i = 0; i < n; ++i) {
      about.labels.emplace_back(CleanText(labels[i].key, kMaxName),
                                CleanText(labels[i].value, kMaxName));
    }
    MutexLock lock(&self->mutex_);
    for (size_t i = 0; i < self->owned_.size(); ++i) {
      const PluginMetric& known = self->owned_[i]->about;
      if (known.name != about.name || known.labels != about.labels) continue;
      return known.gauge == about.gauge ? i + 1 : 0;
    }
    if (self->owned_.size() == kMaxMetrics) return 0;
    self->metrics_[self->owned_.size()].store(made.get(), std::memory_order_release);
    self->owned_.push_back(std::move(made));
    return self->owned_.size();
  }

  static void Add(const mfn_host* host, uint64_t id, double value) {
    if (id == 0 || id > kMaxMetrics) return;
    Metric* known = Self(host)->metrics_[id - 1].load(std::memory_order_acquire);
    if (known == nullptr) return;
    // A counter never goes down; NaN would stick for ever.
    if (!(value == value) || (!known->about.gauge && value < 0)) return;
    known->value.fetch_add(value, std::memory_order_relaxed);
  }

  static int32_t Cancelled(const mfn_call* call) {
    return call->cancelled() || call->clock->MonotonicNanos() >= call->deadline_ns ? 1 : 0;
  }
  static int64_t Deadline(const mfn_call* call) { return call->deadline_ns; }

  static void Fail(mfn_call* call, const mfn_failure* failure) {
    call->failure = CopyFailure(failure);
  }
  static void FailRecord(mfn_call* call, uint64_t index, const mfn_failure* failure) {
    if (index >= call->n_records) return;
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
    if (value.data == nullptr) return CodeOf(self->state_->Erase(self->instance_, View(key)));
    return CodeOf(self->state_->Put(self->instance_, View(key), View(value)));
  }
  static mfn_code Get(const mfn_host* host, mfn_bytes key,
                      void (*found)(void* context, mfn_bytes value), void* context) {
    const HostApi* self = Self(host);
    const auto value = self->state_->Get(self->instance_, View(key));
    if (!value.ok()) return CodeOf(value.status());
    if (value->has_value()) found(context, Bytes(**value));
    return MFN_OK;
  }
  static mfn_code List(const mfn_host* host, mfn_bytes prefix,
                       int32_t (*each)(void* context, mfn_bytes key, mfn_bytes value),
                       void* context) {
    const HostApi* self = Self(host);
    return CodeOf(self->state_->List(self->instance_, View(prefix),
                                     [&](absl::string_view key, absl::string_view value) {
                                       return each(context, Bytes(key), Bytes(value)) != 0;
                                     }));
  }

  static const void* Extension(const mfn_host* host, const char* id) {
    static const mfn_state_v1 state = {sizeof(mfn_state_v1), 0, Put, Get, List};
    if (id == nullptr || std::strcmp(id, MFN_STATE_V1) != 0) return nullptr;
    return Self(host)->state_ == nullptr ? nullptr : &state;
  }
};

HostApi::HostApi(std::string instance, store::StateStore* state)
    : mfn_host(), instance_(std::move(instance)), state_(state) {
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

std::vector<PluginMetric> HostApi::Metrics() const {
  std::vector<PluginMetric> metrics;
  for (const std::atomic<Metric*>& slot : metrics_) {
    const Metric* known = slot.load(std::memory_order_acquire);
    if (known == nullptr) break;
    metrics.push_back(known->about);
    metrics.back().value = known->value.load(std::memory_order_relaxed);
  }
  return metrics;
}

}  // namespace mfn::registry
