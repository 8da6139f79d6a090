// ConnectorService.TapConnector: live records of one instance as a stream.
#ifndef MFN_SERVER_RPC_TAP_CONNECTOR_H_
#define MFN_SERVER_RPC_TAP_CONNECTOR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "mfn/v1/connector_service.grpc.pb.h"
#include "server/registry/instance.h"
#include "server/rpc/call_runner.h"
#include "server/rpc/live_stream.h"

namespace mfn::rpc {

// gRPC owns what is returned. Nothing is owned; all outlive the call. `instance`: the one that the
// request names, or why there is none.
grpc::ServerWriteReactor<mfn::v1::TapConnectorResponse>* StartTapConnector(
    CallRunner* calls, LiveStreams* streams,
    const absl::StatusOr<std::shared_ptr<registry::Instance>>& instance,
    CallRunner::Arrival arrival, grpc::CallbackServerContext* context,
    const mfn::v1::TapConnectorRequest& request);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_TAP_CONNECTOR_H_
