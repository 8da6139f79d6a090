// The calls: what each function of the ABI is given, and how its answer is judged. The code that
// runs on the call's thread has no captures: it sees the PluginCall, which outlives its caller.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/registry/instance_impl.h"
#include "server/registry/pending_write.h"

namespace mfn::registry {
namespace {

constexpr uint64_t kMaxExecuteRecords = 1 << 20;

const Component& ComponentOf(const PluginCall& call) { return *call.live->context->component; }

mfn_code CallCheck(PluginCall& c) { return ComponentOf(c).table.check(c.live->self, &*c.call); }
mfn_code CallRead(PluginCall& c) {
  return ComponentOf(c).source.read(c.live->self, &*c.call, c.max_records, c.max_bytes, &c.out);
}
mfn_code CallAck(PluginCall& c) {
  return ComponentOf(c).source.ack(c.live->self, &*c.call, c.id,
                                   c.outcomes.empty() ? nullptr : c.outcomes.data(),
                                   c.outcomes.size());
}
mfn_code CallLaneReleased(PluginCall& c) {
  return ComponentOf(c).source.lane_released(c.live->self, &*c.call, c.id);
}
mfn_code CallWrite(PluginCall& c) {
  return ComponentOf(c).sink.write(c.live->self, &*c.call, &c.in);
}
mfn_code CallFlush(PluginCall& c) { return ComponentOf(c).sink.flush(c.live->self, &*c.call); }
mfn_code CallExecute(PluginCall& c) {
  return ComponentOf(c).executor.execute(c.live->self, &*c.call, c.in.records, &c.out);
}

}  // namespace

Verdict InstanceImpl::TakeBatch(const PluginCall& call, const BatchLimits& limits,
                                OwnedBatch* out) {
  OwnedBatch owned(call.out, call.live);
  if (std::string fault = BatchFault(call.out, limits); !fault.empty()) {
    return Refused(MFN_PERMANENT, "BAD_BATCH",
                   absl::StrCat("the plugin returned a batch that cannot be: ", fault));
  }
  if ((call.out.flags & MFN_LANE_REVOKED) != 0) {
    MutexLock lock(&mutex_);
    if (live_ == call.live) revoked_.insert(call.out.lane);
  }
  records_in_.fetch_add(call.out.n_records, std::memory_order_relaxed);
  if (taps().tapped()) taps().See(TapDirection::kIn, owned.records());
  *out = std::move(owned);
  return Verdict();
}

Failure InstanceImpl::Unsupported(const char* what) const {
  return Refused(MFN_UNSUPPORTED, "UNSUPPORTED",
                 absl::StrCat("a component of type \"", config_.type, "\" is no ", what))
      .failure;
}

absl::Status InstanceImpl::Connect(const Cancellation& cancel) {
  return ToStatus(Guarded(MakeRequest(Mode::kWorker, cancel), nullptr), config_.name);
}

absl::Status InstanceImpl::Check(const Cancellation& cancel) {
  if (component_.table.check == nullptr) return absl::OkStatus();
  bool closed = false;
  // One that is retired must be made and connected first, which nothing may run beside.
  const Mode mode = live(&closed) == nullptr && !closed ? Mode::kWorker : Mode::kAny;
  Request request = MakeRequest(mode, cancel);
  request.health_check = true;
  return ToStatus(Guarded(request, {"check", CallCheck, GivenNothing, JudgeCode}), config_.name);
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
  const auto prepare = [&](PluginCall& call) {
    call.max_records = max_records;
    call.max_bytes = max_bytes;
  };
  const auto judge = [&](PluginCall& call) {
    // Time that passes without records is what the caller asked to wait for.
    if (call.returned == MFN_CANCELLED && !call.call->cancelled()) return Verdict();
    if (call.returned != MFN_OK && call.returned != MFN_END) return JudgeCode(call);
    result.end = call.returned == MFN_END;
    return TakeBatch(call, {max_records, max_bytes}, &result.batch);
  };
  result.failure = Guarded(request, {"read", CallRead, prepare, judge});
  return result;
}

Failure InstanceImpl::Ack(const OwnedBatch& batch, absl::Span<const mfn_code> outcomes,
                          const Cancellation& cancel) {
  if (!has_source()) return Unsupported("source");
  const auto prepare = [&](PluginCall& call) {
    call.id = batch.ack_id();
    call.outcomes.assign(outcomes.begin(), outcomes.end());
  };
  const Mode mode = concurrent_ack() ? Mode::kAck : Mode::kWorker;
  return Guarded(MakeRequest(mode, cancel), {"ack", CallAck, prepare, JudgeCode, &batch});
}

bool InstanceImpl::TakeRevoked(uint64_t lane) {
  MutexLock lock(&mutex_);
  return revoked_.erase(lane) > 0;
}

Failure InstanceImpl::LaneReleased(uint64_t lane, const Cancellation& cancel) {
  if (!has_source()) return Unsupported("source");
  if (component_.source.lane_released == nullptr || !TakeRevoked(lane)) return Failure();
  return Guarded(
      MakeRequest(Mode::kWorker, cancel),
      {"lane_released", CallLaneReleased, [&](PluginCall& call) { call.id = lane; }, JudgeCode});
}

WriteResult InstanceImpl::Write(const SharedRecords& records, const Cancellation& cancel) {
  WriteResult result;
  if (!has_sink()) {
    result.failure = Unsupported("sink");
    return result;
  }
  if (records.records.empty()) return result;
  PendingWrite pending(records);
  uint64_t epoch = UINT64_MAX;  // of the earliest attempt
  Request request = MakeRequest(Mode::kParallel, cancel);
  request.single_attempt = config_.delivery == DeliveryGuarantee::kAtMostOnce;
  request.free_retries = records.presented_again;
  const auto prepare = [&](PluginCall& call) {
    const SharedRecords& left = pending.records();
    epoch = std::min(epoch, call.live->epoch.load());
    call.owner = left.owner;
    call.in.records = left.records.data();
    call.in.n_records = call.call->n_records = left.records.size();
  };
  const auto judge = [&](PluginCall& call) { return pending.Settle(call.returned, &*call.call); };
  result = pending.Finish(Guarded(request, {"write", CallWrite, prepare, judge}));
  result.epoch = epoch;
  if (result.failure.ok()) {
    records_out_.fetch_add(records.records.size() - result.failed.size(),
                           std::memory_order_relaxed);
  }
  if (taps().tapped()) ShowWrite(records.records, result);
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

Failure InstanceImpl::Flush(uint64_t epoch, const Cancellation& cancel) {
  if (!has_sink()) return Unsupported("sink");
  if (component_.sink.flush == nullptr) return Failure();
  const auto judge = [&](PluginCall& call) {
    Verdict verdict = JudgeCode(call);
    std::atomic<uint64_t>& present = call.live->epoch;
    // What was written before must be written again, by everybody who did.
    if (verdict.outcome != resilience::Outcome::kOk) present.store(context_->NextEpoch());
    if (verdict.outcome == resilience::Outcome::kOk && epoch < present.load()) {
      return Refused(MFN_RETRYABLE, "INSTANCE_REPLACED",
                     "what was written before the sink was made anew, or failed to flush, is not "
                     "flushed; it must be written again");
    }
    return verdict;
  };
  Request request = MakeRequest(Mode::kExclusive, cancel);
  // A second flush could only make durable what the first one has not lost.
  request.single_attempt = true;
  return Guarded(request, {"flush", CallFlush, GivenNothing, judge});
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
  const auto prepare = [&](PluginCall& call) {
    call.owner = input.owner;
    call.in.records = input.records.data();
    call.in.n_records = 1;
  };
  const auto judge = [&](PluginCall& call) {
    if (call.returned != MFN_OK) return JudgeCode(call);
    return TakeBatch(call, {kMaxExecuteRecords, kMaxBatchBytes}, &result.batch);
  };
  result.failure = Guarded(request, {"execute", CallExecute, prepare, judge});
  if (taps().tapped()) {
    taps().See(TapDirection::kOut, input.records.subspan(0, 1), result.failure.code);
  }
  return result;
}

}  // namespace mfn::registry
