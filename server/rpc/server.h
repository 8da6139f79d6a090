// The gRPC server: all services, health, reflection, TLS and the bounds of a connection.
//
//   auto server = Server::Start(config, parts);   // serving when it returns
//   server->port();
//   server->Shutdown(absl::Seconds(5));           // refuses new calls, ends running ones
#ifndef MFN_SERVER_RPC_SERVER_H_
#define MFN_SERVER_RPC_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/metric_set.h"
#include "server/pipeline/pipeline.h"
#include "server/registry/registry.h"
#include "server/rpc/catalogue.h"
#include "server/store/store.h"

namespace mfn::rpc {

class Server {
 public:
  // None is owned; all outlive the server.
  struct Parts {
    registry::Registry* registry;
    pipeline::PipelineManager* pipelines;
    store::Store* store;
    Catalogue* catalogue;
    Clock* clock = Clock::Real();
  };

  // FAILED_PRECONDITION: an address other than loopback without API keys and without TLS, or a port
  // that is taken; INVALID_ARGUMENT: a TLS file that cannot be read.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config,
                                                       const Parts& parts);
  virtual ~Server() = default;  // as Shutdown at once

  virtual std::string address() const = 0;  // with the port that is used, "127.0.0.1:50051"
  virtual int port() const = 0;             // 0 for a Unix socket

  // Figures of the calls. Thread-safe.
  virtual void Collect(MetricSet* out) const = 0;

  // What health says from now on (not serving, at first); calls go on either way.
  virtual void SetHealth(bool serving) = 0;
  // Refuses new calls, waits up to `bound` for running ones, cancels the rest. Idempotent.
  virtual void Shutdown(absl::Duration bound) = 0;
};

// Whether only this machine can reach the address: 127.0.0.0/8, [::1], localhost, unix:.
bool IsLoopback(const std::string& listen);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_SERVER_H_
