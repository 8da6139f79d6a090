// SimulationService.RunMany: requests in, results out, in the order in which they are finished.
//
// A stream holds at most twice as many requests as there are computing threads, counted from
// reading until the result is written; then it stops reading, and gRPC's flow control stops the
// client.
#ifndef MFN_SERVER_RPC_RUN_MANY_H_
#define MFN_SERVER_RPC_RUN_MANY_H_

#include <grpcpp/grpcpp.h>

#include "mfn/v1/simulation_service.pb.h"
#include "server/rpc/call_runner.h"

namespace mfn::rpc {

// The reactor owns itself.
grpc::ServerBidiReactor<mfn::v1::RunManyRequest, mfn::v1::RunManyResponse>* StartRunMany(
    CallRunner* calls, grpc::CallbackServerContext* context);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_RUN_MANY_H_
