// The server as one object: everything that main wires together, in the order in which it starts
// and stops.
//
//   HTTP ──► store ──► registry ──► plugins ──► connectors, pipelines ──► gRPC
//   (stopping is the other way round: health says so, pipelines drain, calls end, instances close)
#ifndef MFN_SERVER_APP_H_
#define MFN_SERVER_APP_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/cancellation.h"
#include "server/base/config.h"
#include "server/base/metric_set.h"
#include "server/base/readiness.h"
#include "server/observability/http_listener.h"
#include "server/pipeline/pipeline.h"
#include "server/registry/registry.h"
#include "server/rpc/catalogue.h"
#include "server/rpc/server.h"
#include "server/store/store.h"

namespace mfn {

class App {
 public:
  // Serving when it returns. `source` names the configuration in errors ("mfnd.yaml"). Any error
  // says what to change; nothing is left running then.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Config& config,
                                                    const std::string& source);

  // Stops reading, drains pipelines within server.drain_timeout, ends calls, closes instances.
  // Idempotent. A plugin's call that does not return is left behind: then this object must not be
  // destroyed (registry::StuckPluginThreads).
  void Stop();
  ~App();

  rpc::Server& server() { return *server_; }
  // Where metrics and health are, "127.0.0.1:9464"; empty: not served.
  std::string http_address() const { return http_ == nullptr ? "" : http_->address(); }

 private:
  explicit App(const Config& config);
  absl::Status Init(const std::string& source);
  absl::Status ListenHttp();
  void Collect(MetricSet* out) const;
  // Whether the store can be written; gRPC's health follows.
  void ProbeStore();
  void WatchHealth();  // until the server stops

  // In the order of construction; destruction goes the other way.
  const Config config_;
  Readiness readiness_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<registry::Registry> registry_;
  std::unique_ptr<pipeline::PipelineManager> pipelines_;
  std::unique_ptr<rpc::Catalogue> catalogue_;
  std::unique_ptr<rpc::Server> server_;
  std::atomic<bool> serving_{false};  // every part above is there, for Collect
  std::unique_ptr<observability::HttpListener> http_;
  CancellationSource ending_;
  std::thread health_;
};

// Everything that can be known without starting: plugin folders, types, each component's own schema
// and validation, what pipelines need of their ends. All problems, one per line, with the line in
// the file. `printed`, if not null, receives the normalised form with secrets redacted.
absl::Status CheckConfig(const Config& config, const std::string& source, std::string* printed);

}  // namespace mfn

#endif  // MFN_SERVER_APP_H_
