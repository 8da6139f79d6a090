#include "server/rpc/watch_pipeline.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/resource_proto.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

using Response = mfn::v1::WatchPipelineResponse;

constexpr size_t kMaxWatches = 64;
constexpr absl::Duration kMinInterval = absl::Milliseconds(100);
constexpr absl::Duration kMaxInterval = absl::Seconds(60);

// Only the newest figures wait for the reader.
class Watch final : public LiveStream<Response> {
 public:
  Watch(std::shared_ptr<CallRecord> record, grpc::CallbackServerContext* context, CallRunner* calls,
        pipeline::PipelineManager* pipelines, std::string name, absl::Duration interval)
      : LiveStream(std::move(record), context, &calls->stalls()),
        pipelines_(pipelines),
        name_(std::move(name)),
        interval_ns_(absl::ToInt64Nanoseconds(interval)),
        clock_(calls->clock()) {}

  void Tick(int64_t now_ns) override {
    auto status = pipelines_->Status(name_);
    if (!status.ok()) {  // deleted
      End(absl::OkStatus());
      return;
    }
    {
      MutexLock lock(&mutex_);
      const bool changed = status->state != last_state_ || status->error != last_error_;
      if (!changed && now_ns < due_ns_) return;
      last_state_ = status->state;
      last_error_ = status->error;
      due_ns_ = now_ns + interval_ns_;
      newest_ = *std::move(status);
      seen_ = clock_->Now();
    }
    Kick();
  }

 private:
  bool Fill(Response* response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!newest_) return false;
    ToProto(*newest_, response->mutable_status());
    SetTime(seen_, response->mutable_time());
    newest_.reset();
    return true;
  }

  pipeline::PipelineManager* const pipelines_;
  const std::string name_;
  const int64_t interval_ns_;
  Clock* const clock_;
  std::optional<pipeline::PipelineStatus> newest_ ABSL_GUARDED_BY(mutex_);
  absl::Time seen_ ABSL_GUARDED_BY(mutex_);
  int64_t due_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  pipeline::PipelineState last_state_ ABSL_GUARDED_BY(mutex_) = pipeline::PipelineState::kStopped;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
};

struct Plan {
  std::string name;
  absl::Duration interval = absl::Seconds(1);
};

absl::StatusOr<Plan> MakePlan(const pipeline::PipelineManager& pipelines,
                              const mfn::v1::WatchPipelineRequest& request) {
  Plan plan;
  auto name = ReadName(request.name(), "pipelines", "name");
  if (!name.ok()) return name.status();
  plan.name = *std::move(name);
  if (request.has_interval()) {
    auto interval = ReadDuration(request.interval(), "interval", kMinInterval, kMaxInterval);
    if (!interval.ok()) return interval.status();
    plan.interval = *interval;
  }
  if (pipelines.Status(plan.name).ok()) return plan;
  return Error(absl::StatusCode::kNotFound, "PIPELINE_NOT_FOUND",
               absl::StrCat("there is no ", request.name()), {{"name", request.name()}});
}

}  // namespace

grpc::ServerWriteReactor<Response>* StartWatchPipeline(
    CallRunner* calls, LiveStreams* streams, pipeline::PipelineManager* pipelines,
    grpc::CallbackServerContext* context, const mfn::v1::WatchPipelineRequest& request) {
  auto [record, admitted] = calls->Admit(context, "mfn.v1.PipelineService/WatchPipeline");
  if (!admitted.ok()) return new RefusedStream<Response>(record.get(), admitted);
  auto plan = MakePlan(*pipelines, request);
  if (!plan.ok()) return new RefusedStream<Response>(record.get(), plan.status());
  auto watch =
      std::make_shared<Watch>(record, context, calls, pipelines, plan->name, plan->interval);
  if (absl::Status s = streams->Add("WatchPipeline", kMaxWatches, watch); !s.ok()) {
    return new RefusedStream<Response>(record.get(), s);
  }
  watch->Begin(watch);
  watch->Tick(calls->clock()->MonotonicNanos());
  return watch.get();
}

}  // namespace mfn::rpc
