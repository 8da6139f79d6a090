// What the host offers: log, metrics, state, secrets, and the call that is running. Part of
// mfn/plugin.hpp.
#ifndef MFN_SDK_HOST_HPP_
#define MFN_SDK_HOST_HPP_

#include <mfn/ext/cancel_fd.h>
#include <mfn/ext/state.h>
#include <mfn/plugin.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <initializer_list>
#include <mfn/sdk/batch.hpp>
#include <mfn/sdk/secrets.hpp>
#include <mfn/sdk/status.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mfn::sdk {

inline mfn_failure ToFailure(const Status& status) {
  auto optional_bytes = [](const std::string& text) {
    return text.empty() ? mfn_bytes{nullptr, 0} : ToBytes(text);
  };
  mfn_failure failure = {};
  failure.struct_size = sizeof(failure);
  failure.code = status.code;
  failure.retry_after_ms = status.retry_after_ms;
  failure.reason = optional_bytes(status.reason);
  failure.message = optional_bytes(status.message);
  failure.field = optional_bytes(status.field);
  return failure;
}

// One call of the host into the plugin; valid until that call returns, on its thread
// (cancelled, deadline and remaining: on any).
class Call {
 public:
  Call(const mfn_host* host, mfn_call* call) : host_(host), call_(call) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Whether the host wants the call to return. To be asked at least every 250 ms while waiting.
  bool cancelled() const { return host_->cancelled(call_) != 0; }
  // time_point::max() when there is none.
  std::chrono::steady_clock::time_point deadline() const {
    return std::chrono::steady_clock::time_point(
        std::chrono::nanoseconds(host_->deadline_ns(call_)));
  }
  // Never negative.
  std::chrono::nanoseconds remaining() const {
    const int64_t deadline_ns = host_->deadline_ns(call_);
    if (deadline_ns == INT64_MAX) return std::chrono::nanoseconds::max();
    const auto left =
        std::chrono::nanoseconds(deadline_ns) - std::chrono::steady_clock::now().time_since_epoch();
    return std::max(std::chrono::duration_cast<std::chrono::nanoseconds>(left),
                    std::chrono::nanoseconds(0));
  }
  // How long one wait may take before cancelled() is due again: at most 100 ms, less near the
  // deadline, 0 when the call is over.
  std::chrono::milliseconds Slice() const {
    if (cancelled()) return std::chrono::milliseconds(0);
    // Rounded up, so that the last fraction of a millisecond is not spent spinning.
    const auto left =
        std::min<std::chrono::nanoseconds>(remaining(), std::chrono::milliseconds(100));
    return std::chrono::ceil<std::chrono::milliseconds>(left);
  }
  bool over() const { return cancelled() || remaining().count() == 0; }
  // [the call's thread] For a poll loop: readable once the call is cancelled or its deadline has
  // passed; then Slice is not needed. Borrowed until the call returns (mfn/ext/cancel_fd.h); -1
  // when the host has none: wait no longer than Slice.
  int cancel_fd() const {
    const auto* ext =
        static_cast<const mfn_cancel_fd_v1*>(host_->extension(host_, MFN_CANCEL_FD_V1));
    return ext == nullptr ? -1 : ext->fd(call_);
  }

  // In Write: this record's own outcome; the others have the one that Write returns.
  void FailRecord(uint64_t index, const Status& status) {
    const mfn_failure failure = ToFailure(status);
    host_->fail_record(call_, index, &failure);
  }

  // For the wrapper: return a Status instead.
  void Fail(const Status& status) noexcept {
    const mfn_failure failure = ToFailure(status);
    host_->fail(call_, &failure);
  }
  void FailPlain(mfn_code code, const char* reason, const char* message) noexcept {
    mfn_failure failure = {};
    failure.struct_size = sizeof(failure);
    failure.code = code;
    failure.retry_after_ms = -1;
    failure.reason = ToBytes(reason);
    failure.message = ToBytes(message);
    host_->fail(call_, &failure);
  }

 private:
  const mfn_host* host_;
  mfn_call* call_;
};

// A registered metric. Copyable, [any]; one that was refused ignores Add.
class Metric {
 public:
  Metric() = default;
  Metric(const mfn_host* host, uint64_t id) : host_(host), id_(id) {}
  void Add(double value = 1) const {
    if (id_ != 0) host_->metric_add(host_, id_, value);
  }

 private:
  const mfn_host* host_ = nullptr;
  uint64_t id_ = 0;
};

// Small named blobs that outlive the process (mfn/ext/state.h has bounds and thread tags).
class State {
 public:
  State() = default;
  State(const mfn_host* host, const mfn_state_v1* state) : host_(host), state_(state) {}

  // Whether the host keeps state at all; nothing below may be called otherwise.
  bool available() const { return state_ != nullptr; }

  // Durable when it returns Ok.
  Status Put(std::string_view key, std::string_view value) const {
    return Check(state_->put(host_, ToBytes(key), ToBytes(value)), "put", key);
  }
  Status Remove(std::string_view key) const {
    return Check(state_->put(host_, ToBytes(key), mfn_bytes{nullptr, 0}), "remove", key);
  }
  // *value stays empty when there is none.
  Status Get(std::string_view key, std::optional<std::string>* value) const {
    value->reset();
    auto found = [](void* context, mfn_bytes bytes) {
      Collected<std::optional<std::string>>::Run(
          context, [&](std::optional<std::string>& out) { out = std::string(ToView(bytes)); });
    };
    Collected<std::optional<std::string>> result{*value, nullptr};
    const mfn_code code = state_->get(host_, ToBytes(key), found, &result);
    if (result.error) std::rethrow_exception(result.error);
    return Check(code, "get", key);
  }
  // All blobs whose key starts with prefix, in key order.
  Status List(std::string_view prefix,
              std::vector<std::pair<std::string, std::string>>* entries) const {
    using Entries = std::vector<std::pair<std::string, std::string>>;
    entries->clear();
    auto each = [](void* context, mfn_bytes key, mfn_bytes value) -> int32_t {
      return Collected<Entries>::Run(context, [&](Entries& out) {
        out.emplace_back(std::string(ToView(key)), std::string(ToView(value)));
      });
    };
    Collected<Entries> result{*entries, nullptr};
    const mfn_code code = state_->list(host_, ToBytes(prefix), each, &result);
    if (result.error) std::rethrow_exception(result.error);
    return Check(code, "list", prefix);
  }

 private:
  // Carries an exception past the host's frames, which must not see it.
  template <class T>
  struct Collected {
    T& out;
    std::exception_ptr error;
    template <class F>
    static int32_t Run(void* context, F&& f) noexcept {
      auto* self = static_cast<Collected*>(context);
      try {
        f(self->out);
        return 1;
      } catch (...) {
        self->error = std::current_exception();
        return 0;
      }
    }
  };

  static Status Check(mfn_code code, const char* what, std::string_view key) {
    if (code == MFN_OK) return Status::Ok();
    Status status = Status::Retryable(
        "STATE_UNAVAILABLE", std::string("state: cannot ") + what + " '" + std::string(key) + "'");
    status.code = code;
    return status;
  }

  const mfn_host* host_ = nullptr;
  const mfn_state_v1* state_ = nullptr;
};

// The host, for one instance. Copyable; valid until the instance is destroyed.
class Host {
 public:
  explicit Host(const mfn_host* host) : host_(host) {}

  // [any] One line, never a secret. level: MFN_LOG_DEBUG ... MFN_LOG_ERROR.
  void Log(int32_t level, std::string_view message) const {
    host_->log(host_, level, ToBytes(message));
  }
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  // [exclusive: in Create or Connect] snake_case names; the host adds its own prefix.
  Metric Counter(std::string_view name, Labels labels = {}) const {
    return Register(MFN_METRIC_COUNTER, name, labels);
  }
  Metric Gauge(std::string_view name, Labels labels = {}) const {
    return Register(MFN_METRIC_GAUGE, name, labels);
  }
  // [any] An extension of the host by its id, or null, which is always a legal answer:
  //   const auto* trace = host.extension<my_trace_v1>("org.example.trace/1");
  template <class T>
  const T* extension(const char* id) const {
    return static_cast<const T*>(host_->extension(host_, id));
  }
  // [any]
  State state() const { return State(host_, extension<mfn_state_v1>(MFN_STATE_V1)); }
  // [any] Asking for it says that the plugin follows changed secrets itself (mfn/ext/secrets.h).
  Secrets secrets() const { return Secrets(host_, extension<mfn_secrets_v1>(MFN_SECRETS_V1)); }
  const mfn_host* raw() const { return host_; }

 private:
  Metric Register(int32_t kind, std::string_view name, Labels labels) const {
    std::vector<mfn_kv> kvs;
    for (const auto& [key, value] : labels) kvs.push_back({ToBytes(key), ToBytes(value)});
    return Metric(host_, host_->metric(host_, kind, ToBytes(name), kvs.data(), kvs.size()));
  }
  const mfn_host* host_;
};

}  // namespace mfn::sdk

#endif  // MFN_SDK_HOST_HPP_
