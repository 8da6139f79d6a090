// PipelineService.WatchPipeline: the figures of one pipeline as a stream.
#ifndef MFN_SERVER_RPC_WATCH_PIPELINE_H_
#define MFN_SERVER_RPC_WATCH_PIPELINE_H_

#include "mfn/v1/pipeline_service.grpc.pb.h"
#include "server/pipeline/pipeline.h"
#include "server/rpc/call_runner.h"
#include "server/rpc/live_stream.h"

namespace mfn::rpc {

// gRPC owns what is returned. Nothing is owned; all outlive the call.
grpc::ServerWriteReactor<mfn::v1::WatchPipelineResponse>* StartWatchPipeline(
    CallRunner* calls, LiveStreams* streams, pipeline::PipelineManager* pipelines,
    grpc::CallbackServerContext* context, const mfn::v1::WatchPipelineRequest& request);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_WATCH_PIPELINE_H_
