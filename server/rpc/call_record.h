// One call as it is seen from outside: its id, who made it, how long it took, how it ended.
//
//   auto record = std::make_shared<CallRecord>(&stats, clock, context, "mfn.v1.S/M");
//   const LogScope scope(record->log_fields());
//   reactor->Finish(record->End(status));     // counts, logs, translates
//
// The id is the client's, from the metadata x-request-id if it can be shown as it is (1 to 128
// letters, digits and ._~:/@+=-), else made here; it goes back in the initial metadata. Used by one
// thread at a time; End may be called on any, once.
#ifndef MFN_SERVER_RPC_CALL_RECORD_H_
#define MFN_SERVER_RPC_CALL_RECORD_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/histogram.h"
#include "server/base/log_scope.h"
#include "server/base/metric_set.h"
#include "server/base/mutex.h"

namespace grpc {
class CallbackServerContext;
class Status;
}  // namespace grpc

namespace mfn::rpc {

// Figures of all calls, by method. Thread-safe; outlives the records.
class CallStats {
 public:
  struct Method {
    std::string name;
    std::atomic<int64_t> active{0};
    std::array<std::atomic<uint64_t>, 17> ended = {};  // by gRPC's code
    Histogram duration;
  };

  explicit CallStats(AccessLog access_log = AccessLog::kDebug) : access_log_(access_log) {}
  AccessLog access_log() const { return access_log_; }
  // Lives as long as this. Names are the server's own, so there are few.
  Method* Find(absl::string_view name);
  void Collect(MetricSet* out) const;

 private:
  const AccessLog access_log_;
  mutable Mutex mutex_;
  std::map<std::string, std::unique_ptr<Method>, std::less<>> methods_ ABSL_GUARDED_BY(mutex_);
};

class CallRecord {
 public:
  CallRecord(CallStats* stats, Clock* clock, grpc::CallbackServerContext* context,
             absl::string_view method);
  ~CallRecord();  // a call that was never ended counts as cancelled
  CallRecord(const CallRecord&) = delete;
  CallRecord& operator=(const CallRecord&) = delete;

  const std::string& request_id() const { return request_id_; }
  // W3C trace context of the client, as it came; empty if there is none that is well-formed.
  const std::string& traceparent() const { return traceparent_; }
  const LogFields& log_fields() const { return log_fields_; }  // request_id, trace_id

  const std::string& caller() const { return caller_; }
  void set_caller(std::string caller) { caller_ = std::move(caller); }

  grpc::Status End(const absl::Status& status);

 private:
  void Count(int code);

  CallStats* const stats_;
  Clock* const clock_;
  CallStats::Method* const method_;
  const int64_t start_ns_;
  const std::string peer_;
  std::string request_id_, traceparent_, caller_;
  LogFields log_fields_;
  bool ended_ = false;
};

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_CALL_RECORD_H_
