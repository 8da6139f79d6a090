// mfn.v1.PipelineService: pipelines and their dead letters over gRPC.
#ifndef MFN_SERVER_RPC_PIPELINE_SERVICE_H_
#define MFN_SERVER_RPC_PIPELINE_SERVICE_H_

#include <memory>

#include "absl/time/time.h"
#include "server/pipeline/pipeline.h"
#include "server/rpc/call_runner.h"
#include "server/rpc/catalogue.h"
#include "server/rpc/live_stream.h"
#include "server/rpc/request_cache.h"
#include "server/store/store.h"

namespace grpc {
class Service;
}

namespace mfn::rpc {

struct PipelineServiceParts {
  CallRunner* calls;  // none is owned; all outlive the service
  Catalogue* catalogue;
  pipeline::PipelineManager* pipelines;
  store::Store* store;
  RequestCache* requests;
  LiveStreams* streams;
  absl::Duration drain_bound;  // where a request names none
};
std::unique_ptr<grpc::Service> MakePipelineService(const PipelineServiceParts& parts);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_PIPELINE_SERVICE_H_
