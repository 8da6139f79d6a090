#include "server/rpc/pipeline_service.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "mfn/v1/pipeline_service.grpc.pb.h"
#include "server/rpc/dead_letters.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/resource_proto.h"
#include "server/rpc/status.h"
#include "server/rpc/watch_pipeline.h"

namespace mfn::rpc {
namespace {

constexpr absl::Duration kMaxDrain = absl::Minutes(10);

class PipelineService final : public mfn::v1::PipelineService::CallbackService {
 public:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  explicit PipelineService(const PipelineServiceParts& parts) : parts_(parts) {}

  Reactor* CreatePipeline(Context* context, const mfn::v1::CreatePipelineRequest* request,
                          mfn::v1::Pipeline* response) override {
    return Mutation(context, "mfn.v1.PipelineService/CreatePipeline", *request, response,
                    [=, this] { return Create(*request, response); });
  }
  Reactor* GetPipeline(Context* context, const mfn::v1::GetPipelineRequest* request,
                       mfn::v1::Pipeline* response) override {
    return Read(context, "mfn.v1.PipelineService/GetPipeline",
                [=, this] { return Get(request->name(), response); });
  }
  Reactor* ListPipelines(Context* context, const mfn::v1::ListPipelinesRequest* request,
                         mfn::v1::ListPipelinesResponse* response) override {
    return Read(context, "mfn.v1.PipelineService/ListPipelines",
                [=, this] { return List(*request, response); });
  }
  Reactor* DeletePipeline(Context* context, const mfn::v1::DeletePipelineRequest* request,
                          mfn::v1::DeletePipelineResponse* response) override {
    return Mutation(context, "mfn.v1.PipelineService/DeletePipeline", *request, response,
                    [=, this] { return Delete(*request); });
  }
  Reactor* StartPipeline(Context* context, const mfn::v1::StartPipelineRequest* request,
                         mfn::v1::Pipeline* response) override {
    return Mutation(context, "mfn.v1.PipelineService/StartPipeline", *request, response, [=, this] {
      return Steer(request->name(), response,
                   [this](const std::string& id) { return parts_.pipelines->Start(id); });
    });
  }
  Reactor* PausePipeline(Context* context, const mfn::v1::PausePipelineRequest* request,
                         mfn::v1::Pipeline* response) override {
    return Mutation(context, "mfn.v1.PipelineService/PausePipeline", *request, response, [=, this] {
      return Steer(request->name(), response,
                   [this](const std::string& id) { return parts_.pipelines->Pause(id); });
    });
  }
  Reactor* DrainPipeline(Context* context, const mfn::v1::DrainPipelineRequest* request,
                         mfn::v1::Pipeline* response) override {
    return Mutation(context, "mfn.v1.PipelineService/DrainPipeline", *request, response,
                    [=, this] { return Drain(*request, response); });
  }
  grpc::ServerWriteReactor<mfn::v1::WatchPipelineResponse>* WatchPipeline(
      Context* context, const mfn::v1::WatchPipelineRequest* request) override {
    return StartWatchPipeline(parts_.calls, parts_.streams, parts_.pipelines, context, *request);
  }
  Reactor* ListDeadLetters(Context* context, const mfn::v1::ListDeadLettersRequest* request,
                           mfn::v1::ListDeadLettersResponse* response) override {
    return Read(context, "mfn.v1.PipelineService/ListDeadLetters", [=, this] {
      return rpc::ListDeadLetters(parts_.store->dead_letters(), *request, response);
    });
  }
  Reactor* GetDeadLetter(Context* context, const mfn::v1::GetDeadLetterRequest* request,
                         mfn::v1::DeadLetter* response) override {
    return Read(context, "mfn.v1.PipelineService/GetDeadLetter", [=, this] {
      return rpc::GetDeadLetter(parts_.store->dead_letters(), *request, response);
    });
  }
  Reactor* ReplayDeadLetter(Context* context, const mfn::v1::ReplayDeadLetterRequest* request,
                            mfn::v1::ReplayDeadLetterResponse* response) override {
    return Mutation(context, "mfn.v1.PipelineService/ReplayDeadLetter", *request, response,
                    [=, this]() -> absl::Status {
                      auto id = FindDeadLetter(parts_.store->dead_letters(), request->name());
                      return id.ok() ? parts_.pipelines->Replay(*id) : id.status();
                    });
  }
  Reactor* DiscardDeadLetter(Context* context, const mfn::v1::DiscardDeadLetterRequest* request,
                             mfn::v1::DiscardDeadLetterResponse* response) override {
    return Mutation(context, "mfn.v1.PipelineService/DiscardDeadLetter", *request, response,
                    [=, this]() -> absl::Status {
                      auto id = FindDeadLetter(parts_.store->dead_letters(), request->name());
                      return id.ok() ? parts_.pipelines->Discard(*id) : id.status();
                    });
  }

 private:
  Reactor* Read(Context* context, absl::string_view method, std::function<absl::Status()> read) {
    return parts_.calls->Unary(context, method, Lane::kBlocking,
                               [read = std::move(read)](const CallInfo&) { return read(); });
  }
  template <typename Request>
  Reactor* Mutation(Context* context, absl::string_view method, const Request& request,
                    google::protobuf::Message* response, std::function<absl::Status()> mutate) {
    return parts_.calls->Unary(
        context, method, Lane::kBlocking,
        [this, method, &request, response, mutate = std::move(mutate)](const CallInfo& call) {
          return parts_.requests->Once(call.caller, method, request.request_id(), request, response,
                                       mutate);
        });
  }

  void Describe(const PipelineEntry& entry, mfn::v1::Pipeline* out) const {
    ToProto(entry.config, out);
    out->set_etag(entry.etag);
    out->set_origin(entry.from_file ? mfn::v1::ORIGIN_FILE : mfn::v1::ORIGIN_RPC);
    auto status = parts_.pipelines->Status(entry.config.name);
    if (status.ok()) ToProto(*status, out->mutable_status());
  }

  absl::Status Create(const mfn::v1::CreatePipelineRequest& request, mfn::v1::Pipeline* out) {
    auto config = PipelineFromProto(request.pipeline_id(), request.pipeline());
    if (!config.ok()) return config.status();
    auto entry = parts_.catalogue->CreatePipeline(
        *config, BodyOf(request.pipeline_id(), request.pipeline()));
    if (!entry.ok()) return WithFieldPrefix(entry.status(), "pipeline.");
    Describe(*entry, out);
    return absl::OkStatus();
  }

  absl::Status Get(const std::string& name, mfn::v1::Pipeline* out) const {
    auto id = ReadName(name, "pipelines", "name");
    if (!id.ok()) return id.status();
    auto entry = parts_.catalogue->GetPipeline(*id);
    if (!entry.ok()) return entry.status();
    Describe(*entry, out);
    return absl::OkStatus();
  }

  absl::Status List(const mfn::v1::ListPipelinesRequest& request,
                    mfn::v1::ListPipelinesResponse* out) const {
    auto page = ReadPage(request.page_size(), request.page_token());
    if (!page.ok()) return page.status();
    std::string last;
    for (const PipelineEntry& entry : parts_.catalogue->ListPipelines()) {
      if (entry.config.name <= page->after) continue;
      if (static_cast<size_t>(out->pipelines_size()) == page->size) {
        out->set_next_page_token(PageToken(last));
        return absl::OkStatus();
      }
      Describe(entry, out->add_pipelines());
      last = entry.config.name;
    }
    return absl::OkStatus();
  }

  absl::Status Delete(const mfn::v1::DeletePipelineRequest& request) {
    auto id = ReadName(request.name(), "pipelines", "name");
    if (!id.ok()) return id.status();
    return parts_.catalogue->DeletePipeline(*id, request.etag());
  }

  absl::Status Drain(const mfn::v1::DrainPipelineRequest& request, mfn::v1::Pipeline* out) {
    absl::Duration bound = parts_.drain_bound;
    if (request.has_bound()) {
      auto given = ReadDuration(request.bound(), "bound", absl::ZeroDuration(), kMaxDrain);
      if (!given.ok()) return given.status();
      bound = *given;
    }
    return Steer(request.name(), out, [this, bound](const std::string& id) {
      return parts_.pipelines->Drain(id, bound);
    });
  }

  // Does something to a pipeline that exists and describes it afterwards.
  absl::Status Steer(const std::string& name, mfn::v1::Pipeline* out,
                     const std::function<absl::Status(const std::string&)>& action) {
    auto id = ReadName(name, "pipelines", "name");
    if (!id.ok()) return id.status();
    if (auto entry = parts_.catalogue->GetPipeline(*id); !entry.ok()) return entry.status();
    if (absl::Status s = action(*id); !s.ok()) return s;
    return Get(name, out);
  }

  const PipelineServiceParts parts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePipelineService(const PipelineServiceParts& parts) {
  return std::make_unique<PipelineService>(parts);
}

}  // namespace mfn::rpc
