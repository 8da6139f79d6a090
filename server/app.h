// The server as one object: everything that main wires together, in the order in which it starts
// and stops.
//
//   store ──► registry ──► plugins ──► connectors, pipelines ──► gRPC
//   (stopping is the other way round: health says so, pipelines drain, calls end, instances close)
#ifndef MFN_SERVER_APP_H_
#define MFN_SERVER_APP_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/config.h"
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

  // Stops reading, drains pipelines within server.drain_timeout, ends calls. Idempotent.
  void Stop();
  ~App();

  rpc::Server& server() { return *server_; }

 private:
  explicit App(const Config& config) : config_(config) {}
  absl::Status Init(const std::string& source);

  // In the order of construction; destruction goes the other way.
  const Config config_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<registry::Registry> registry_;
  std::unique_ptr<pipeline::PipelineManager> pipelines_;
  std::unique_ptr<rpc::Catalogue> catalogue_;
  std::unique_ptr<rpc::Server> server_;
};

// Everything that can be known without starting: plugin folders, types, each component's own schema
// and validation, what pipelines need of their ends. All problems, one per line, with the line in
// the file. `printed`, if not null, receives the normalised form with secrets redacted.
absl::Status CheckConfig(const Config& config, const std::string& source, std::string* printed);

}  // namespace mfn

#endif  // MFN_SERVER_APP_H_
