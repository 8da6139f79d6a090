// mfn.v1.PluginService: what is loaded.
#ifndef MFN_SERVER_RPC_PLUGIN_SERVICE_H_
#define MFN_SERVER_RPC_PLUGIN_SERVICE_H_

#include <memory>

#include "server/registry/registry.h"
#include "server/rpc/call_runner.h"

namespace grpc {
class Service;
}

namespace mfn::rpc {

// Neither is owned; both outlive the service.
std::unique_ptr<grpc::Service> MakePluginService(CallRunner* calls, registry::Registry* registry);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_PLUGIN_SERVICE_H_
