// Ids from the client's metadata, the access log's line, the figures by method and code.
#include "server/rpc/call_record.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/histogram_metric.h"
#include "server/base/log.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

constexpr size_t kMaxIdBytes = 128;

absl::string_view ClientMetadata(const grpc::CallbackServerContext& context, const char* name) {
  const auto found = context.client_metadata().find(name);
  if (found == context.client_metadata().end()) return "";
  return absl::string_view(found->second.data(), found->second.size());
}

bool IsSane(absl::string_view id) {
  if (id.empty() || id.size() > kMaxIdBytes) return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::string_view("._~:/@+=-").find(c) != absl::string_view::npos;
  });
}

std::string MakeId() {
  static thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return absl::StrFormat("%016x", random());
}

// "00-<32 hex>-<16 hex>-<2 hex>", lower case (w3.org/TR/trace-context).
bool IsTraceparent(absl::string_view text) {
  if (text.size() != 55 || text.substr(0, 3) != "00-") return false;
  for (size_t k = 0; k < text.size(); ++k) {
    const bool dash = k == 2 || k == 35 || k == 52;
    const char c = text[k];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

const char* CodeName(int code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  return code >= 0 && code <= 16 ? kNames[code] : "UNKNOWN";
}

}  // namespace

CallStats::Method* CallStats::Find(absl::string_view name) {
  MutexLock lock(&mutex_);
  auto found = methods_.find(name);
  if (found == methods_.end()) {
    found = methods_.emplace(std::string(name), std::make_unique<Method>()).first;
    found->second->name = std::string(name);
  }
  return found->second.get();
}

void CallStats::Collect(MetricSet* out) const {
  MutexLock lock(&mutex_);
  for (const auto& [name, method] : methods_) {
    const MetricLabels labels = {{"method", name}};
    out->Gauge("mfn_rpc_active_calls", "Calls that run or wait for a thread.", labels,
               static_cast<double>(method->active.load()));
    out->Histogram("mfn_rpc_duration_seconds", "From the arrival of a call to its end.", labels,
                   ToMetric(method->duration.Snapshot()));
    for (size_t code = 0; code < method->ended.size(); ++code) {
      const uint64_t calls = method->ended[code].load();
      if (calls == 0) continue;
      out->Counter("mfn_rpc_calls_total", "Calls that ended, by gRPC's code.",
                   {{"method", name}, {"code", CodeName(static_cast<int>(code))}},
                   static_cast<double>(calls));
    }
  }
}

CallRecord::CallRecord(CallStats* stats, Clock* clock, grpc::CallbackServerContext* context,
                       absl::string_view method)
    : stats_(stats),
      clock_(clock),
      method_(stats->Find(method)),
      start_ns_(clock->MonotonicNanos()),
      peer_(context->peer()) {
  method_->active.fetch_add(1, std::memory_order_relaxed);
  const absl::string_view given = ClientMetadata(*context, "x-request-id");
  request_id_ = IsSane(given) ? std::string(given) : MakeId();
  context->AddInitialMetadata("x-request-id", request_id_);
  const absl::string_view trace = ClientMetadata(*context, "traceparent");
  if (!IsTraceparent(trace)) {
    log_fields_ = LogFieldsOf({{"request_id", request_id_}});
    return;
  }
  traceparent_ = std::string(trace);
  log_fields_ =
      LogFieldsOf({{"request_id", request_id_}, {"trace_id", traceparent_.substr(3, 32)}});
}

CallRecord::~CallRecord() {
  if (!ended_) Count(grpc::StatusCode::CANCELLED);
}

grpc::Status CallRecord::End(const absl::Status& status) {
  grpc::Status told = ToGrpc(status);
  Count(told.error_code());
  return told;
}

void CallRecord::Count(int code) {
  if (std::exchange(ended_, true)) return;
  const int64_t nanos = clock_->MonotonicNanos() - start_ns_;
  method_->active.fetch_sub(1, std::memory_order_relaxed);
  method_->ended[static_cast<size_t>(std::clamp(code, 0, 16))].fetch_add(1,
                                                                         std::memory_order_relaxed);
  method_->duration.Observe(nanos);
  if (stats_->access_log() == AccessLog::kOff) return;
  const LogLevel level =
      stats_->access_log() == AccessLog::kInfo ? LogLevel::kInfo : LogLevel::kDebug;
  if (!LogKeeps(level)) return;
  const LogScope scope(log_fields_);
  Log(level, "access", "call",
      {{"method", method_->name},
       {"code", CodeName(code)},
       {"duration_ms", absl::StrFormat("%.3f", static_cast<double>(nanos) / 1e6)},
       {"peer", peer_},
       {"caller", caller_}});
}

}  // namespace mfn::rpc
