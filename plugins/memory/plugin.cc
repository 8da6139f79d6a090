// The memory plugin: queues inside the process, for tests and demonstrations.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mfn/plugin.hpp>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "config.h"
#include "json.h"
#include "queue.h"
#include "schema_json.h"

namespace mfn::memory {
namespace {

using sdk::Status;

Entry ToEntry(sdk::RecordView record) {
  Entry entry;
  entry.id = record.id();
  entry.key = record.key();
  entry.has_key = record.has_key();
  entry.payload = record.payload();
  entry.has_payload = record.has_payload();
  entry.time_unix_ns = record.raw().time_unix_ns;
  for (uint64_t i = 0; i < record.attr_count(); ++i) {
    const auto [key, value] = record.attr(i);
    entry.attrs.emplace_back(key, value);
  }
  return entry;
}

void AddTo(sdk::BatchBuilder& out, const Entry& entry) {
  auto record = out.Add();
  record.Id(entry.id).Time(entry.time_unix_ns);
  if (entry.has_key) record.Key(entry.key);
  if (entry.has_payload) record.Payload(std::string_view(entry.payload));
  for (const auto& [key, value] : entry.attrs) record.Attr(key, value);
}

class Memory final : public sdk::Source, public sdk::Sink, public sdk::Executor {
 public:
  static constexpr const char* kType = "memory";
  static constexpr const char* kSummary = "Queues inside the process, for tests and demonstrations";
  static constexpr const char* kSchema = k_schema_json;
  static constexpr uint32_t kMaxInFlight = 8;

  static Status Validate(sdk::Host, std::string_view json) {
    Config config;
    return ParseConfig(json, &config);
  }
  static Status Create(sdk::Host, std::string_view json, std::unique_ptr<Memory>* out) {
    Config config;
    Status status = ParseConfig(json, &config);
    if (status.ok()) *out = std::make_unique<Memory>(std::move(config));
    return status;
  }

  explicit Memory(Config config)
      : config_(std::move(config)), queue_(Queue::Named(config_.queue)) {}
  // What was read and never acked is there for the next reader.
  ~Memory() override { ReturnUnacked(); }

  Status Connect(sdk::Call&) override {
    ReturnUnacked();
    if (emitted_) return Status::Ok();
    std::vector<Entry> entries;
    for (uint64_t round = 0; round < config_.repeat; ++round) {
      for (const std::string& request : config_.requests) {
        Entry entry;
        entry.payload = request;
        entry.attrs.emplace_back("content-type", "application/json");
        entries.push_back(std::move(entry));
      }
    }
    queue_.Push(std::move(entries), UINT64_MAX);
    emitted_ = true;
    return Status::Ok();
  }

  Status Read(sdk::Call& call, uint64_t max_records, uint64_t max_bytes,
              sdk::BatchBuilder& out) override {
    if (max_records == 0) return Status::Ok();
    if (Status fault = Disturb(call); !fault.ok()) return fault;
    if (config_.end_when_empty && unacked_.empty() && queue_.size() == 0) return Status::End();
    std::vector<Entry> entries;
    do {
      entries = queue_.Pop(max_records, max_bytes, call.Slice());
    } while (entries.empty() && !call.over());
    if (entries.empty()) return Status::Ok();
    for (const Entry& entry : entries) AddTo(out, entry);
    out.AckId(next_ack_);
    unacked_.emplace(next_ack_++, std::move(entries));
    return Status::Ok();
  }

  Status Ack(sdk::Call&, uint64_t ack_id, sdk::Outcomes outcomes) override {
    const auto found = unacked_.find(ack_id);
    // Given back by a reconnect before the ack came: it will be read again.
    if (found == unacked_.end()) return Status::Ok();
    std::vector<Entry> again;
    for (size_t i = 0; i < found->second.size(); ++i) {
      if (outcomes[i] == MFN_RETRYABLE) again.push_back(std::move(found->second[i]));
    }
    unacked_.erase(found);
    queue_.Return(std::move(again));
    return Status::Ok();
  }

  Status Write(sdk::Call& call, sdk::BatchView batch) override {
    if (Status fault = Disturb(call); !fault.ok()) return fault;
    std::vector<Entry> entries;
    for (const sdk::RecordView record : batch) entries.push_back(ToEntry(record));
    if (queue_.Push(std::move(entries), config_.capacity)) return Status::Ok();
    return Status::Retryable("QUEUE_FULL", "queue '" + config_.queue + "' holds " +
                                               std::to_string(config_.capacity) +
                                               " records; read from it or raise capacity");
  }

  // {"op": "list" | "take", "queue": "<name>", "max": n}; the queue defaults to the configured one.
  Status Execute(sdk::Call& call, sdk::RecordView request, sdk::BatchBuilder& out) override {
    if (Status fault = Disturb(call); !fault.ok()) return fault;
    const auto members = Members(request.payload());
    if (!members) return Status::Permanent("BAD_REQUEST", "the request is not a JSON object");
    const auto text = [&](const char* name) {
      const auto found = members->find(name);
      return found == members->end() ? std::nullopt : String(found->second);
    };
    Queue& queue = Queue::Named(text("queue").value_or(config_.queue));
    const std::string op = text("op").value_or("");
    uint64_t max = kMaxListed;
    if (const auto found = members->find("max"); found != members->end()) {
      max = std::min<uint64_t>(max, std::strtoull(std::string(found->second).c_str(), nullptr, 10));
    }
    std::vector<Entry> entries;
    if (op == "list") {
      entries = queue.List(max);
    } else if (op == "take") {
      entries = queue.Pop(max, UINT64_MAX, std::chrono::milliseconds(0));
    } else {
      return Status::Permanent("BAD_REQUEST", "\"op\" must be \"list\" or \"take\"");
    }
    for (const Entry& entry : entries) AddTo(out, entry);
    return Status::Ok();
  }

 private:
  static constexpr uint64_t kMaxListed = 100000;

  // Takes the configured time, then fails if it is this call's turn.
  Status Disturb(sdk::Call& call) {
    const auto until = std::chrono::steady_clock::now() + config_.latency;
    while (std::chrono::steady_clock::now() < until) {
      if (call.over()) return Status::Cancelled();
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(
          until - std::chrono::steady_clock::now(), std::chrono::milliseconds(20)));
    }
    if (config_.fail_every == 0) return Status::Ok();
    std::lock_guard<std::mutex> lock(fault_mutex_);
    if (failed_ >= config_.fail_times || ++calls_ % config_.fail_every != 0) return Status::Ok();
    ++failed_;
    Status status = Status::Retryable("INJECTED", "failed as configured by fail_every");
    status.code = config_.fail_code;
    status.retry_after_ms = config_.retry_after_ms;
    return status;
  }

  void ReturnUnacked() {
    // From the newest to the oldest, since each goes to the front.
    for (auto it = unacked_.rbegin(); it != unacked_.rend(); ++it) {
      queue_.Return(std::move(it->second));
    }
    unacked_.clear();
  }

  const Config config_;
  Queue& queue_;
  bool emitted_ = false;
  uint64_t next_ack_ = 1;
  std::map<uint64_t, std::vector<Entry>> unacked_;  // worker calls only
  std::mutex fault_mutex_;
  uint64_t calls_ = 0, failed_ = 0;
};

}  // namespace
}  // namespace mfn::memory

MFN_PLUGIN("org.mfnd.memory", "0.1.0", "mfnd", "MIT", mfn::memory::Memory)
