// mfn.v1.SimulationService: simulations over gRPC. The streams are in run_stream.h and run_many.h.
#ifndef MFN_SERVER_RPC_SIMULATION_SERVICE_H_
#define MFN_SERVER_RPC_SIMULATION_SERVICE_H_

#include <memory>

#include "server/rpc/call_runner.h"

namespace grpc {
class Service;
}

namespace mfn::rpc {

// `calls` is not owned and outlives the service.
std::unique_ptr<grpc::Service> MakeSimulationService(CallRunner* calls);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_SIMULATION_SERVICE_H_
