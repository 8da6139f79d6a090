// SimulationService.RunStream: one simulation that reports while it runs.
//
//   Slice (a computing thread) ──► frame chunks, progress ──► Slice ──► ... ──► result
//          steps until something           each write waits for the one
//          is due, 200 ms at most          before: the reader sets the pace
//
// No thread waits for the reader: between two slices the call only exists. Its arrays stay
// reserved.
#ifndef MFN_SERVER_RPC_RUN_STREAM_H_
#define MFN_SERVER_RPC_RUN_STREAM_H_

#include <grpcpp/grpcpp.h>

#include "mfn/v1/simulation_service.pb.h"
#include "server/rpc/call_runner.h"

namespace mfn::rpc {

inline constexpr size_t kChunkBytes = size_t{1} << 20;

// The reactor owns itself.
grpc::ServerWriteReactor<mfn::v1::RunStreamResponse>* StartRunStream(
    CallRunner* calls, grpc::CallbackServerContext* context,
    const mfn::v1::RunStreamRequest& request);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_RUN_STREAM_H_
