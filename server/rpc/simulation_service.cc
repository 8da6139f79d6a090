#include "server/rpc/simulation_service.h"

#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "mfn/v1/simulation_service.grpc.pb.h"
#include "server/engine/features.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/field_proto.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/run_many.h"
#include "server/rpc/run_stream.h"
#include "server/rpc/simulation_run.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

absl::Status Extract(const mfn::v1::ExtractFeaturesRequest& request, const Cancellation& cancel,
                     mfn::v1::ExtractFeaturesResponse* response) {
  pipeline::FieldData data;
  absl::Status read;
  switch (request.source_case()) {
    case mfn::v1::ExtractFeaturesRequest::kField:
      read = pipeline::ReadField(request.field(), "field", &data);
      break;
    case mfn::v1::ExtractFeaturesRequest::kHistory:
      read = pipeline::ReadSeries(request.history(), "history", &data);
      break;
    default:
      return pipeline::FieldError("field", "REQUIRED", "one of field and history must be given");
  }
  if (!read.ok()) return read;
  // The configuration of features is checked as that of a simulation.
  mfn::v1::SimulationRequest parameters;
  *parameters.mutable_feature_config() = request.feature_config();
  auto job = pipeline::FromProto(parameters);
  if (!job.ok()) return job.status();
  auto features = engine::ExtractFeatures(data.values, data.frames, data.n, job->features,
                                          [&] { return cancel.cancelled(); });
  if (!features.ok()) return pipeline::ToStatus(features.error());
  mfn::v1::SimulationResult result;
  engine::RunResult run;
  run.features = *features;
  pipeline::ToProto(*job, run, &result);
  AddWarnings(*features, &result);
  response->mutable_features()->Swap(result.mutable_features());
  response->mutable_warnings()->Swap(result.mutable_warnings());
  return absl::OkStatus();
}

class SimulationService final : public mfn::v1::SimulationService::CallbackService {
 public:
  explicit SimulationService(CallRunner* calls) : calls_(calls) {}

  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context,
                                const mfn::v1::SimulationRequest* request,
                                mfn::v1::SimulationResult* result) override {
    const bool small = IsSmall(*request);
    return calls_->Unary(
        context, "mfn.v1.SimulationService/Run", small ? Lane::kInline : Lane::kSimulation,
        [request, result](const CallInfo& call) {
          // On gRPC's own threads: small by definition, and kept for the next call.
          thread_local engine::Simulation own_arena;
          return RunToResult(*request, call.cancel, call.arena ? call.arena : &own_arena, result);
        },
        MemoryOf(*request));
  }

  grpc::ServerWriteReactor<mfn::v1::RunStreamResponse>* RunStream(
      grpc::CallbackServerContext* context, const mfn::v1::RunStreamRequest* request) override {
    return StartRunStream(calls_, context, *request);
  }

  grpc::ServerBidiReactor<mfn::v1::RunManyRequest, mfn::v1::RunManyResponse>* RunMany(
      grpc::CallbackServerContext* context) override {
    return StartRunMany(calls_, context);
  }

  grpc::ServerUnaryReactor* ExtractFeatures(grpc::CallbackServerContext* context,
                                            const mfn::v1::ExtractFeaturesRequest* request,
                                            mfn::v1::ExtractFeaturesResponse* response) override {
    return calls_->Unary(
        context, "mfn.v1.SimulationService/ExtractFeatures", Lane::kSimulation,
        [request, response](const CallInfo& call) {
          return Extract(*request, call.cancel, response);
        },
        6 * static_cast<int64_t>(request->ByteSizeLong()));
  }

 private:
  CallRunner* const calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSimulationService(CallRunner* calls) {
  return std::make_unique<SimulationService>(calls);
}

}  // namespace mfn::rpc
