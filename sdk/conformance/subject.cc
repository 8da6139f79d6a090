// The checks that hold for every call stand in Call.
#include "subject.h"

#include <cctype>
#include <fstream>

#include "case.h"

namespace mfn::conformance {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr uint64_t kMaxLength = uint64_t{1} << 32;
constexpr const char* kCodes[] = {
    "MFN_OK",   "MFN_END",           "MFN_RETRYABLE", "MFN_PERMANENT",  "MFN_THROTTLED",
    "MFN_AUTH", "MFN_NOT_CONNECTED", "MFN_CANCELLED", "MFN_UNSUPPORTED"};

// How long this thread has been ready to run while others ran instead; 0 where the kernel does not
// say. A busy machine is not the plugin's fault.
std::chrono::nanoseconds TimeInQueue() {
  std::ifstream stat("/proc/thread-self/schedstat");
  int64_t running = 0, queued = 0;
  stat >> running >> queued;
  return std::chrono::nanoseconds(queued);
}

bool IsReason(const std::string& reason) {
  if (reason.empty()) return false;
  for (const char c : reason) {
    if (!std::isupper(static_cast<unsigned char>(c)) &&
        !std::isdigit(static_cast<unsigned char>(c)) && c != '_') {
      return false;
    }
  }
  return true;
}

// A failure must say why, for people and to count by.
void CheckWords(const std::string& what, const sdk::Status& failure, const std::string& code) {
  const std::string answer = what + " answers " + code;
  if (failure.message.empty() && failure.reason.empty()) {
    throw Failed{answer + " and does not say why; call mfn_host.fail before returning"};
  }
  if (!IsReason(failure.reason)) {
    throw Failed{answer + " with the reason \"" + Shown(failure.reason) +
                 "\"; a reason is a short constant like NO_SPACE"};
  }
  if (failure.message.empty()) {
    throw Failed{answer + " (" + failure.reason +
                 ") without a message; say what failed, on which "
                 "object, and what to do"};
  }
}

}  // namespace

std::string CodeName(mfn_code code) {
  if (code < MFN_OK || code > MFN_UNSUPPORTED) return "the unknown code " + std::to_string(code);
  return kCodes[code];
}

std::string Reply::Words() const {
  if (failure.reason.empty() && failure.message.empty()) return CodeName(code);
  return CodeName(code) + " (" + Shown(failure.reason) + ": " + Shown(failure.message) + ")";
}

Reply Call(Trial& trial, const std::string& what, milliseconds deadline,
           sdk::testing::CancelFlag* cancel, const std::function<mfn_code(mfn_call*)>& run) {
  trial.Step(what);
  mfn_call call;
  const SteadyClock::time_point start = SteadyClock::now();
  call.deadline_ns = std::chrono::nanoseconds((start + deadline).time_since_epoch()).count();
  call.cancel = cancel;
  const std::chrono::nanoseconds queued = TimeInQueue();
  Reply reply;
  reply.code = run(&call);
  const SteadyClock::time_point end = SteadyClock::now();
  reply.took = std::chrono::duration_cast<milliseconds>(end - start - (TimeInQueue() - queued));
  reply.failure = call.failure;
  reply.failed_records = call.failed_records;
  if (reply.took > deadline + kGrace) {
    throw Failed{what + " returned " + std::to_string((reply.took - deadline).count()) +
                 " ms after its deadline; look at mfn_host.deadline_ns while waiting and return "
                 "within 250 ms of it"};
  }
  if (reply.code < MFN_OK || reply.code > MFN_UNSUPPORTED) {
    throw Failed{what + " answers " + CodeName(reply.code) + "; the codes are in mfn/plugin.h"};
  }
  if (reply.code == MFN_END && what != "read") {
    throw Failed{what + " answers MFN_END, which is for read only"};
  }
  if (reply.code > MFN_END && reply.code != MFN_CANCELLED) {
    CheckWords(what, reply.failure, CodeName(reply.code));
  }
  return reply;
}

Subject::Subject(Trial& trial, const std::string& config)
    : trial_(trial), component_(trial.component()) {
  const Reply reply = Call(trial, "create", milliseconds(1000), nullptr, [&](mfn_call* call) {
    return component_.create(call, host_.raw(), sdk::ToBytes(config), &self_);
  });
  if (reply.ok() && self_ == nullptr) {
    throw Failed{"create answers MFN_OK and leaves *self NULL"};
  }
  if (reply.ok()) return;
  self_ = nullptr;
  const std::string text = "create answers " + reply.Words() + " to " + Shown(config);
  if (trial.config_is_given()) throw Failed{text};
  throw Skipped{text + "; give a --config that it accepts"};
}

void Subject::Destroy() {
  if (self_ == nullptr) return;
  trial_.Step("destroy");
  component_.destroy(self_);
  self_ = nullptr;
}

Reply Subject::Connect(sdk::testing::CancelFlag* cancel, milliseconds deadline) {
  if (component_.connect == nullptr) return {};
  return Call(trial_, "connect", deadline, cancel,
              [&](mfn_call* call) { return component_.connect(self_, call); });
}

Subject& Subject::Connected() {
  const Reply reply = Connect();
  if (reply.ok()) return *this;
  throw Skipped{"connect answers " + reply.Words() + "; give a --config that can connect"};
}

Reply Subject::Check() {
  if (component_.check == nullptr) return {};
  return Call(trial_, "check", milliseconds(2000), nullptr,
              [&](mfn_call* call) { return component_.check(self_, call); });
}

const void* Subject::Extension(const char* id) {
  if (component_.extension == nullptr) return nullptr;
  trial_.Step(std::string("extension(\"") + id + "\")");
  return component_.extension(self_, id);
}

Reply Subject::Read(uint64_t max_records, uint64_t max_bytes, milliseconds deadline, mfn_batch* out,
                    sdk::testing::CancelFlag* cancel) {
  *out = {};
  const Reply reply = Call(trial_, "read", deadline, cancel, [&](mfn_call* call) {
    return component_.source->read(self_, call, max_records, max_bytes, out);
  });
  if (reply.code > MFN_END && out->release != nullptr) {
    throw Failed{"read answers " + reply.Words() +
                 " and fills the batch, which nobody will release; free it before failing"};
  }
  if (reply.code > MFN_END) *out = {};
  if (out->n_records > max_records) {
    throw Failed{"read(max_records " + std::to_string(max_records) + ") gives " +
                 std::to_string(out->n_records) + " records; never return more than asked for"};
  }
  CheckBatch(*out, "read");
  return reply;
}

Reply Subject::Ack(uint64_t ack_id, const std::vector<mfn_code>& outcomes) {
  return Call(trial_, "ack", milliseconds(2000), nullptr, [&](mfn_call* call) {
    return component_.source->ack(self_, call, ack_id, outcomes.empty() ? nullptr : outcomes.data(),
                                  outcomes.size());
  });
}

Reply Subject::Write(const mfn_batch& batch, sdk::testing::CancelFlag* cancel) {
  Reply reply = Call(trial_, "write", milliseconds(cancel == nullptr ? 2000 : 30000), cancel,
                     [&](mfn_call* call) { return component_.sink->write(self_, call, &batch); });
  for (const auto& [index, failure] : reply.failed_records) {
    if (index >= batch.n_records) {
      throw Failed{"write fails record #" + std::to_string(index) + " of " +
                   std::to_string(batch.n_records) + "; the index counts from 0 within the batch"};
    }
    if (failure.code <= MFN_END || failure.code > MFN_UNSUPPORTED) {
      throw Failed{"write fails record #" + std::to_string(index) + " with " +
                   CodeName(failure.code) + "; its failure needs a code of its own"};
    }
  }
  return reply;
}

Reply Subject::Flush(sdk::testing::CancelFlag* cancel) {
  if (component_.sink->flush == nullptr) return {};
  return Call(trial_, "flush", milliseconds(cancel == nullptr ? 2000 : 30000), cancel,
              [&](mfn_call* call) { return component_.sink->flush(self_, call); });
}

Reply Subject::Execute(const mfn_record& request, mfn_batch* out,
                       sdk::testing::CancelFlag* cancel) {
  *out = {};
  const Reply reply = Call(
      trial_, "execute", milliseconds(cancel == nullptr ? 2000 : 30000), cancel,
      [&](mfn_call* call) { return component_.executor->execute(self_, call, &request, out); });
  if (!reply.ok() && out->release != nullptr) {
    throw Failed{"execute answers " + reply.Words() +
                 " and fills the batch, which nobody will release; free it before failing"};
  }
  if (!reply.ok()) *out = {};
  CheckBatch(*out, "execute");
  return reply;
}

mfn_batch Subject::ReadSome(uint64_t max_records, uint64_t max_bytes) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    mfn_batch batch;
    const Reply reply = Read(max_records, max_bytes, milliseconds(100), &batch);
    if (batch.n_records > 0) return batch;
    Release(&batch);
    if (reply.code == MFN_END) throw Skipped{"read gives nothing: the source is at its end"};
    if (!reply.ok()) throw Skipped{"read answers " + reply.Words()};
  }
  throw Skipped{"read gives nothing within a second; give a --config of a source with records"};
}

void Release(mfn_batch* batch) {
  if (batch->release != nullptr) batch->release(batch);
  *batch = {};
}

void CheckBatch(const mfn_batch& batch, const std::string& what) {
  if (batch.n_records > 0 && batch.records == nullptr) {
    throw Failed{what + " gives a batch with n_records " + std::to_string(batch.n_records) +
                 " and records NULL"};
  }
  if (batch.n_records > 0 && (batch.flags & (MFN_LANE_REVOKED | MFN_LANE_LOST)) != 0) {
    throw Failed{what + " gives a lane event with records; events come in batches of their own"};
  }
  for (uint64_t i = 0; i < batch.n_records; ++i) {
    const mfn_record& record = batch.records[i];
    const std::string name = what + " gives record #" + std::to_string(i);
    if (record.n_attrs > 0 && record.attrs == nullptr) {
      throw Failed{name + " with n_attrs " + std::to_string(record.n_attrs) + " and attrs NULL"};
    }
    for (const mfn_bytes& bytes : {record.id, record.key, record.payload}) {
      if (bytes.data == nullptr && bytes.len > 0) {
        throw Failed{name + " with a length and data NULL; absent is both NULL and 0"};
      }
      if (bytes.len > kMaxLength) {
        throw Failed{name + " with " + std::to_string(bytes.len) + " bytes; is that a length?"};
      }
    }
  }
}

void NeedSource(Trial& trial) {
  if (trial.component().source == nullptr) throw Inapplicable{};
}
void NeedSink(Trial& trial) {
  if (trial.component().sink == nullptr) throw Inapplicable{};
}
void NeedExecutor(Trial& trial) {
  if (trial.component().executor == nullptr) throw Inapplicable{};
}

}  // namespace mfn::conformance
