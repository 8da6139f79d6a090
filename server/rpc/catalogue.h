// The resources of the server: which connectors, publishers and pipelines there are, where each
// comes from, and the record of those made by RPC that a restart reads back.
//
//   Catalogue catalogue(registry, pipelines, store);
//   catalogue.AddFromFile(config);     // read-only by RPC
//   catalogue.Restore();               // what RPC made before
//   catalogue.StartPipelines();        // those with autostart
//
// The registry and the pipeline manager own what runs; this owns the names. Thread-safe; changes
// are serialised, and are durable when they return OK.
#ifndef MFN_SERVER_RPC_CATALOGUE_H_
#define MFN_SERVER_RPC_CATALOGUE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/config.h"
#include "server/base/mutex.h"
#include "server/pipeline/pipeline.h"
#include "server/registry/registry.h"
#include "server/store/store.h"

namespace mfn::rpc {

template <typename ConfigType>
struct Entry {
  ConfigType config;
  bool from_file = false;
  std::string etag;
};
using ConnectorEntry = Entry<InstanceConfig>;
using PipelineEntry = Entry<PipelineConfig>;

class Catalogue {
 public:
  // Nothing is owned; all outlive the catalogue.
  Catalogue(registry::Registry* registry, pipeline::PipelineManager* pipelines, store::Store* store)
      : registry_(registry), pipelines_(pipelines), store_(store) {}

  // Creates what the file lists, connectors first; a disabled instance is listed only. The first
  // error ends it.
  absl::Status AddFromFile(const Config& config);
  // Creates what RPC made before. One that cannot be created any more is logged and kept in the
  // store.
  absl::Status Restore();
  // Starts every pipeline with autostart; one that cannot start is logged.
  void StartPipelines();

  // `body` is what Restore gets back (resource_proto.h reads it). Errors: those of the registry,
  // ALREADY_EXISTS (CONNECTOR_EXISTS), and the store's, after which nothing was created.
  absl::StatusOr<ConnectorEntry> CreateConnector(const InstanceConfig& config,
                                                 const std::string& body);
  absl::Status DeleteConnector(const std::string& name, const std::string& etag,
                               absl::Duration bound);
  absl::StatusOr<ConnectorEntry> GetConnector(const std::string& name) const;
  std::vector<ConnectorEntry> ListConnectors() const;  // by name

  absl::StatusOr<PipelineEntry> CreatePipeline(const PipelineConfig& config,
                                               const std::string& body);
  absl::Status DeletePipeline(const std::string& name, const std::string& etag);
  absl::StatusOr<PipelineEntry> GetPipeline(const std::string& name) const;
  std::vector<PipelineEntry> ListPipelines() const;  // by name

 private:
  absl::Status AddConnectorFromFile(const InstanceConfig& config);
  absl::Status AddPipelineFromFile(const PipelineConfig& config);

  registry::Registry* const registry_;
  pipeline::PipelineManager* const pipelines_;
  store::Store* const store_;
  // Held through a whole change, which may wait for a plugin; the maps have a lock of their own, so
  // that reading never waits.
  Mutex change_mutex_;
  mutable Mutex mutex_;
  std::map<std::string, ConnectorEntry> connector_entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, PipelineEntry> pipeline_entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_CATALOGUE_H_
