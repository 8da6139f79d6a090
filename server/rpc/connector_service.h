// mfn.v1.ConnectorService: instances of components, their life and their use over gRPC.
#ifndef MFN_SERVER_RPC_CONNECTOR_SERVICE_H_
#define MFN_SERVER_RPC_CONNECTOR_SERVICE_H_

#include <memory>

#include "absl/time/time.h"
#include "server/registry/registry.h"
#include "server/rpc/call_runner.h"
#include "server/rpc/catalogue.h"
#include "server/rpc/live_stream.h"
#include "server/rpc/request_cache.h"

namespace grpc {
class Service;
}

namespace mfn::rpc {

struct ConnectorServiceParts {
  CallRunner* calls;  // none is owned; all outlive the service
  Catalogue* catalogue;
  registry::Registry* registry;
  RequestCache* requests;
  LiveStreams* streams;
  absl::Duration close_bound;  // how long a deletion waits for running calls
};
std::unique_ptr<grpc::Service> MakeConnectorService(const ConnectorServiceParts& parts);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_CONNECTOR_SERVICE_H_
