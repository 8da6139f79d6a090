// mfn.v1.AnalysisService: the mathematics around the simulation, over gRPC.
#ifndef MFN_SERVER_RPC_ANALYSIS_SERVICE_H_
#define MFN_SERVER_RPC_ANALYSIS_SERVICE_H_

#include <memory>

#include "server/rpc/call_runner.h"

namespace grpc {
class Service;
}

namespace mfn::rpc {

// `calls` is not owned and outlives the service.
std::unique_ptr<grpc::Service> MakeAnalysisService(CallRunner* calls);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_ANALYSIS_SERVICE_H_
