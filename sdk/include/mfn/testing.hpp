// A small host for tests of a plugin: loads the shared object, makes instances, calls them.
//
//   mfn::sdk::testing::Host host;          // state, secrets, log and metrics in memory; cancel-fd
//   mfn::sdk::testing::Library library("./mfn-counter.so");
//   mfn::sdk::testing::Instance counter(host, library.component("counter"), R"({"limit": 3})");
//   auto batch = counter.Read(10, 1 << 20, std::chrono::seconds(1));
//   batch.payloads();   counter.Ack(batch.ack_id());
//
// Made for tests only: it retries nothing. Defines struct mfn_call, so it cannot be in one program
// with another host. A Host may outlive instances and serve the next ones, as a restart does.
// Thread-safe where a plugin may call from any thread.
#ifndef MFN_TESTING_HPP_
#define MFN_TESTING_HPP_

#include <dlfcn.h>
#include <mfn/ext/cancel_fd.h>
#include <mfn/ext/secrets.h>
#include <mfn/ext/state.h>
#include <mfn/plugin.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mfn/sdk/batch.hpp>
#include <mfn/sdk/status.hpp>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mfn::sdk::testing {

// Whether calls are cancelled, also for a poll loop. [any]
class CancelFlag {
 public:
  CancelFlag() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  CancelFlag(const CancelFlag&) = delete;
  CancelFlag& operator=(const CancelFlag&) = delete;
  ~CancelFlag() { ::close(event_); }
  CancelFlag& operator=(bool on) {
    on_ = on;
    uint64_t one = 1;
    const ssize_t done =
        on ? ::write(event_, &one, sizeof(one)) : ::read(event_, &one, sizeof(one));
    (void)done;  // set or cleared already
    return *this;
  }
  explicit operator bool() const { return on_; }
  int event() const { return event_; }  // readable while it is on

 private:
  std::atomic<bool> on_{false};
  const int event_;
};

// Readable once a call is over: what mfn.cancel-fd/1 gives out. Made when it is first asked for.
class CallDescriptor {
 public:
  CallDescriptor() = default;
  CallDescriptor(const CallDescriptor&) = delete;
  CallDescriptor& operator=(const CallDescriptor&) = delete;
  ~CallDescriptor() {
    if (epoll_ < 0) return;
    ::close(timer_);
    ::close(epoll_);
  }
  int Get(const CancelFlag* cancel, int64_t deadline_ns) {
    if (epoll_ >= 0) return epoll_;
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (deadline_ns != INT64_MAX) {
      // All zeros would mean "never".
      const int64_t at = std::max<int64_t>(deadline_ns, 1);
      const itimerspec when = {{0, 0}, {at / 1000000000, at % 1000000000}};
      ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
    }
    epoll_event readable = {};
    readable.events = EPOLLIN;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &readable);
    if (cancel != nullptr) ::epoll_ctl(epoll_, EPOLL_CTL_ADD, cancel->event(), &readable);
    return epoll_;
  }

 private:
  int epoll_ = -1, timer_ = -1;
};

}  // namespace mfn::sdk::testing

struct mfn_call {
  int64_t deadline_ns = INT64_MAX;
  mfn::sdk::testing::CancelFlag* cancel = nullptr;
  mfn::sdk::Status failure;
  std::map<uint64_t, mfn::sdk::Status> failed_records;
  mfn::sdk::testing::CallDescriptor descriptor;
};

namespace mfn::sdk::testing {

class Host {
 public:
  Host() : table_(), state_table_(), secrets_table_(), cancel_table_() {
    table_.raw = {sizeof(mfn_host), MFN_ABI_MINOR, "mfn-testing", "1",  Log,        MetricId,
                  MetricAdd,        Cancelled,     Deadline,      Fail, FailRecord, Extension};
    table_.self = this;
    state_table_ = {sizeof(mfn_state_v1), 0, Put, Get, List};
    secrets_table_ = {sizeof(mfn_secrets_v1), 0, Resolve};
    cancel_table_ = {sizeof(mfn_cancel_fd_v1), 0, Descriptor};
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const mfn_host* raw() const { return &table_.raw; }
  std::map<std::string, std::string>& state() { return state_; }
  // The present values of secrets, by JSON pointer; the others cannot be resolved.
  std::map<std::string, std::string>& secrets() { return secrets_; }
  std::vector<std::string> log() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return log_;
  }
  double metric(const std::string& name) const {
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < metrics_.size(); ++i) {
      if (metrics_[i].first == name) return metrics_[i].second;
    }
    return 0;
  }
  // What the host offers: mfn.state/1, mfn.secrets/1, mfn.cancel-fd/1.
  bool keep_state = true, keep_secrets = true, keep_cancel_fd = true;
  std::atomic<mfn_code> put_code{MFN_OK};  // another code: put fails with it
  std::atomic<int> puts{0};

 private:
  struct Table {
    mfn_host raw;  // first, so that the plugin's pointer leads here
    Host* self;
  };
  static Host& Of(const mfn_host* host) { return *reinterpret_cast<const Table*>(host)->self; }
  static void Log(const mfn_host* host, int32_t, mfn_bytes message) {
    std::lock_guard<std::mutex> lock(Of(host).mutex_);
    Of(host).log_.emplace_back(ToView(message));
  }
  static uint64_t MetricId(const mfn_host* host, int32_t, mfn_bytes name, const mfn_kv*, uint64_t) {
    std::lock_guard<std::mutex> lock(Of(host).mutex_);
    auto& metrics = Of(host).metrics_;
    for (size_t i = 0; i < metrics.size(); ++i) {
      if (metrics[i].first == ToView(name)) return i + 1;
    }
    metrics.emplace_back(std::string(ToView(name)), 0.0);
    return metrics.size();
  }
  static void MetricAdd(const mfn_host* host, uint64_t id, double value) {
    std::lock_guard<std::mutex> lock(Of(host).mutex_);
    if (id > 0 && id <= Of(host).metrics_.size()) Of(host).metrics_[id - 1].second += value;
  }
  static int32_t Cancelled(const mfn_call* call) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const bool late = std::chrono::nanoseconds(now).count() >= call->deadline_ns;
    return late || (call->cancel != nullptr && static_cast<bool>(*call->cancel)) ? 1 : 0;
  }
  static int64_t Deadline(const mfn_call* call) { return call->deadline_ns; }
  static Status Copy(const mfn_failure* failure) {
    Status status;
    status.code = failure->code;
    status.retry_after_ms = failure->retry_after_ms;
    status.reason = ToView(failure->reason);
    status.message = ToView(failure->message);
    status.field = ToView(failure->field);
    return status;
  }
  static void Fail(mfn_call* call, const mfn_failure* failure) { call->failure = Copy(failure); }
  static void FailRecord(mfn_call* call, uint64_t index, const mfn_failure* failure) {
    call->failed_records[index] = Copy(failure);
  }
  static const void* Extension(const mfn_host* host, const char* id) {
    const Host& self = Of(host);
    const std::string_view wanted = id;
    if (self.keep_state && wanted == MFN_STATE_V1) return &self.state_table_;
    if (self.keep_secrets && wanted == MFN_SECRETS_V1) return &self.secrets_table_;
    if (self.keep_cancel_fd && wanted == MFN_CANCEL_FD_V1) return &self.cancel_table_;
    return nullptr;
  }
  static mfn_code Resolve(const mfn_host* host, mfn_bytes field, void (*found)(void*, mfn_bytes),
                          void* context) {
    std::lock_guard<std::mutex> lock(Of(host).mutex_);
    const auto it = Of(host).secrets_.find(std::string(ToView(field)));
    if (it == Of(host).secrets_.end()) return MFN_PERMANENT;
    found(context, ToBytes(it->second));
    return MFN_OK;
  }
  static int32_t Descriptor(mfn_call* call) {
    return call->descriptor.Get(call->cancel, call->deadline_ns);
  }
  static mfn_code Put(const mfn_host* host, mfn_bytes key, mfn_bytes value) {
    Host& self = Of(host);
    ++self.puts;
    if (self.put_code != MFN_OK) return self.put_code;
    if (key.len > 1024 || value.len > 1u << 20) return MFN_PERMANENT;
    std::lock_guard<std::mutex> lock(self.mutex_);
    if (value.data == nullptr) {
      self.state_.erase(std::string(ToView(key)));
    } else {
      self.state_[std::string(ToView(key))] = std::string(ToView(value));
    }
    return MFN_OK;
  }
  static mfn_code Get(const mfn_host* host, mfn_bytes key, void (*found)(void*, mfn_bytes),
                      void* context) {
    std::lock_guard<std::mutex> lock(Of(host).mutex_);
    const auto it = Of(host).state_.find(std::string(ToView(key)));
    if (it != Of(host).state_.end()) found(context, ToBytes(it->second));
    return MFN_OK;
  }
  static mfn_code List(const mfn_host* host, mfn_bytes prefix,
                       int32_t (*each)(void*, mfn_bytes, mfn_bytes), void* context) {
    std::lock_guard<std::mutex> lock(Of(host).mutex_);
    const std::string start(ToView(prefix));
    for (auto it = Of(host).state_.lower_bound(start);
         it != Of(host).state_.end() && it->first.compare(0, start.size(), start) == 0; ++it) {
      if (each(context, ToBytes(it->first), ToBytes(it->second)) == 0) break;
    }
    return MFN_OK;
  }

  Table table_;
  mfn_state_v1 state_table_;
  mfn_secrets_v1 secrets_table_;
  mfn_cancel_fd_v1 cancel_table_;
  mutable std::mutex mutex_;
  std::vector<std::string> log_;
  std::vector<std::pair<std::string, double>> metrics_;
  std::map<std::string, std::string> state_, secrets_;
};

// A loaded plugin; never unloaded. Throws std::runtime_error with the loader's words.
class Library {
 public:
  explicit Library(const std::string& path) {
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) throw std::runtime_error(::dlerror());
    void* symbol = ::dlsym(handle, MFN_PLUGIN_ENTRY_SYMBOL);
    if (symbol == nullptr) throw std::runtime_error(path + " has no " MFN_PLUGIN_ENTRY_SYMBOL);
    plugin_ = reinterpret_cast<mfn_plugin_entry_fn>(symbol)(MFN_ABI_MINOR);
  }
  const mfn_plugin& plugin() const { return *plugin_; }
  const mfn_component& component(std::string_view type) const {
    for (uint64_t i = 0; i < plugin_->n_components; ++i) {
      if (plugin_->components[i]->type == type) return *plugin_->components[i];
    }
    throw std::runtime_error("no component " + std::string(type));
  }

 private:
  const mfn_plugin* plugin_;
};

// What a read or execute gave; releases the batch.
class Result {
 public:
  Result() = default;
  Result(Result&& other) noexcept
      : status(std::move(other.status)), batch_(std::exchange(other.batch_, mfn_batch{})) {}
  Result& operator=(Result&& other) noexcept {
    std::swap(status, other.status);
    std::swap(batch_, other.batch_);
    return *this;
  }
  ~Result() {
    if (batch_.release != nullptr) batch_.release(&batch_);
  }
  BatchView records() const { return BatchView(&batch_); }
  uint64_t size() const { return batch_.n_records; }
  uint64_t ack_id() const { return batch_.ack_id; }
  uint64_t lane() const { return batch_.lane; }
  uint64_t flags() const { return batch_.flags; }
  std::vector<std::string> payloads() const {
    std::vector<std::string> all;
    for (RecordView record : records()) all.emplace_back(record.payload());
    return all;
  }
  std::vector<std::string> ids() const {
    std::vector<std::string> all;
    for (RecordView record : records()) all.emplace_back(record.id());
    return all;
  }
  Status status;

 private:
  friend class Instance;
  mfn_batch batch_ = {};
};

// A record for Write or Execute.
struct Input {
  std::string id, payload;
  std::string key = {};
  std::vector<std::pair<std::string, std::string>> attrs = {};
  bool has_payload = true;
};

// One instance. Throws std::runtime_error when it cannot be created.
class Instance {
 public:
  Instance(Host& host, const mfn_component& component, std::string_view config)
      : component_(component) {
    mfn_call call;
    if (component.create(&call, host.raw(), ToBytes(config), &self_) != MFN_OK) {
      throw std::runtime_error(call.failure.field + ": " + call.failure.message);
    }
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() { component_.destroy(self_); }

  static Status Validate(Host& host, const mfn_component& component, std::string_view config) {
    mfn_call call;
    return Outcome(component.validate(&call, host.raw(), ToBytes(config)), call);
  }
  Status Connect() {
    mfn_call call;
    return Outcome(component_.connect(self_, &call), call);
  }
  Status Check() {
    mfn_call call;
    return Outcome(component_.check(self_, &call), call);
  }
  Result Read(uint64_t max_records, uint64_t max_bytes, std::chrono::milliseconds wait) {
    mfn_call call;
    call.cancel = &cancel;
    call.deadline_ns =
        std::chrono::nanoseconds((std::chrono::steady_clock::now() + wait).time_since_epoch())
            .count();
    Result result;
    const mfn_code code =
        component_.source->read(self_, &call, max_records, max_bytes, &result.batch_);
    result.status = Outcome(code, call);
    return result;
  }
  Status Ack(uint64_t ack_id, const std::vector<mfn_code>& outcomes = {}) {
    mfn_call call;
    return Outcome(
        component_.source->ack(self_, &call, ack_id, outcomes.empty() ? nullptr : outcomes.data(),
                               outcomes.size()),
        call);
  }
  // `failed`: the records that have an outcome of their own.
  Status Write(const std::vector<Input>& inputs, std::map<uint64_t, Status>* failed = nullptr) {
    std::vector<mfn_record> records;
    std::vector<std::vector<mfn_kv>> attrs(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) records.push_back(Make(inputs[i], &attrs[i]));
    mfn_batch batch = {};
    batch.records = records.data();
    batch.n_records = records.size();
    mfn_call call;
    call.cancel = &cancel;
    const mfn_code code = component_.sink->write(self_, &call, &batch);
    if (failed != nullptr) *failed = call.failed_records;
    return Outcome(code, call);
  }
  Status Flush() {
    mfn_call call;
    return Outcome(component_.sink->flush(self_, &call), call);
  }
  Result Execute(const Input& input) {
    std::vector<mfn_kv> attrs;
    const mfn_record record = Make(input, &attrs);
    mfn_call call;
    call.cancel = &cancel;
    Result result;
    const mfn_code code = component_.executor->execute(self_, &call, &record, &result.batch_);
    result.status = Outcome(code, call);
    return result;
  }
  CancelFlag cancel;  // of Read, Write and Execute, those that run and those to come

 private:
  static Status Outcome(mfn_code code, const mfn_call& call) {
    Status status = code == MFN_OK || code == MFN_END ? Status::Ok() : call.failure;
    status.code = code;
    return status;
  }
  static mfn_record Make(const Input& input, std::vector<mfn_kv>* attrs) {
    for (const auto& [key, value] : input.attrs) attrs->push_back({ToBytes(key), ToBytes(value)});
    mfn_record record = {};
    record.id = ToBytes(input.id);
    if (!input.key.empty()) record.key = ToBytes(input.key);
    if (input.has_payload) record.payload = ToBytes(input.payload);
    record.attrs = attrs->data();
    record.n_attrs = attrs->size();
    record.time_unix_ns = MFN_TIME_ABSENT;
    return record;
  }
  const mfn_component& component_;
  void* self_ = nullptr;
};

}  // namespace mfn::sdk::testing

#endif  // MFN_TESTING_HPP_
