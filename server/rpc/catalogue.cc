#include "server/rpc/catalogue.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/rpc/resource_proto.h"
#include "server/rpc/status.h"
#include "server/store/resource_store.h"

namespace mfn::rpc {
namespace {

// What Redacted shows of a configuration stands for all of it here: a file's resource changes with
// a restart only, and then a secret alone need not change the etag.
std::string EtagOf(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: the same in every process
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return absl::StrCat(absl::Hex(hash, absl::kZeroPad16));
}

const char* KindOf(const InstanceConfig& config) {
  return config.role == InstanceRole::kPublisher ? "publisher" : "connector";
}

absl::Status NoConnector(const std::string& name) {
  return Error(absl::StatusCode::kNotFound, "CONNECTOR_NOT_FOUND",
               absl::StrCat("no connector or publisher is named \"", name, "\""),
               {{"name", absl::StrCat("connectors/", name)}});
}

absl::Status NoPipeline(const std::string& name) {
  return Error(absl::StatusCode::kNotFound, "PIPELINE_NOT_FOUND",
               absl::StrCat("no pipeline is named \"", name, "\""),
               {{"name", absl::StrCat("pipelines/", name)}});
}

absl::Status ReadOnly(const std::string& name) {
  return Error(
      absl::StatusCode::kFailedPrecondition, "RESOURCE_FROM_FILE",
      absl::StrCat(name, " comes from the configuration file: change it there and restart"),
      {{"name", name}});
}

absl::Status CheckEtag(const std::string& name, const std::string& wanted,
                       const std::string& actual) {
  if (wanted.empty() || wanted == actual) return absl::OkStatus();
  return Error(
      absl::StatusCode::kAborted, "ETAG_MISMATCH",
      absl::StrCat(name, " has changed: its etag is ", actual, ", not ", wanted, "; get it again"),
      {{"name", name}});
}

template <typename Map>
std::vector<typename Map::mapped_type> Values(const Map& map) {
  std::vector<typename Map::mapped_type> values;
  values.reserve(map.size());
  for (const auto& [name, entry] : map) values.push_back(entry);
  return values;
}

void LogLost(absl::string_view kind, const std::string& name, const absl::Status& status) {
  Log(LogLevel::kError, "rpc", "a resource made by RPC cannot be restored; it stays in the store",
      {{"kind", std::string(kind)}, {"name", name}, {"error", std::string(status.message())}});
}

}  // namespace

absl::Status Catalogue::AddFromFile(const Config& config) {
  MutexLock change(&change_mutex_);
  for (const auto* list : {&config.connectors, &config.publishers}) {
    for (const InstanceConfig& instance : *list) {
      if (absl::Status s = AddConnectorFromFile(instance); !s.ok()) return s;
    }
  }
  for (const PipelineConfig& one : config.pipelines) {
    if (absl::Status s = AddPipelineFromFile(one); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Catalogue::AddConnectorFromFile(const InstanceConfig& config) {
  if (config.enabled) {
    auto instance = registry_->CreateInstance(config);
    if (!instance.ok()) return instance.status();
  }
  MutexLock lock(&mutex_);
  connector_entries_[config.name] =
      ConnectorEntry{config, true, EtagOf(absl::StrCat(config.type, config.config_json))};
  return absl::OkStatus();
}

absl::Status Catalogue::AddPipelineFromFile(const PipelineConfig& config) {
  if (absl::Status s = pipelines_->Create(config); !s.ok()) return s;
  mfn::v1::Pipeline proto;
  ToProto(config, &proto);
  MutexLock lock(&mutex_);
  pipeline_entries_[config.name] = PipelineEntry{config, true, EtagOf(proto.SerializeAsString())};
  return absl::OkStatus();
}

absl::Status Catalogue::Restore() {
  MutexLock change(&change_mutex_);
  for (const char* kind : {"connector", "publisher"}) {
    auto kept = store_->resources().List(kind);
    if (!kept.ok()) return kept.status();
    for (const store::Resource& resource : *kept) {
      auto config = ConnectorFromBody(resource.body);
      absl::Status status = config.status();
      if (status.ok()) status = registry_->CreateInstance(*config).status();
      if (!status.ok()) {
        LogLost(kind, resource.name, status);
        continue;
      }
      MutexLock lock(&mutex_);
      connector_entries_[resource.name] = ConnectorEntry{*std::move(config), false, resource.etag};
    }
  }
  auto kept = store_->resources().List("pipeline");
  if (!kept.ok()) return kept.status();
  for (const store::Resource& resource : *kept) {
    auto config = PipelineFromBody(resource.body);
    absl::Status status = config.status();
    if (status.ok()) status = pipelines_->Create(*config);
    if (!status.ok()) {
      LogLost("pipeline", resource.name, status);
      continue;
    }
    MutexLock lock(&mutex_);
    pipeline_entries_[resource.name] = PipelineEntry{*std::move(config), false, resource.etag};
  }
  return absl::OkStatus();
}

void Catalogue::StartPipelines() {
  for (const PipelineEntry& entry : ListPipelines()) {
    if (!entry.config.autostart) continue;
    const absl::Status status = pipelines_->Start(entry.config.name);
    if (status.ok()) continue;
    Log(LogLevel::kError, "rpc", "a pipeline did not start",
        {{"pipeline", entry.config.name}, {"error", std::string(status.message())}});
  }
}

absl::StatusOr<ConnectorEntry> Catalogue::CreateConnector(const InstanceConfig& config,
                                                          const std::string& body) {
  MutexLock change(&change_mutex_);
  if (GetConnector(config.name).ok()) {
    return Error(absl::StatusCode::kAlreadyExists, "CONNECTOR_EXISTS",
                 absl::StrCat("a connector or publisher named \"", config.name, "\" exists"),
                 {{"name", absl::StrCat("connectors/", config.name)}});
  }
  auto instance = registry_->CreateInstance(config);
  if (!instance.ok()) return instance.status();
  auto etag = store_->resources().Put(KindOf(config), config.name, body);
  if (!etag.ok()) {
    (void)registry_->DeleteInstance(config.name, absl::Seconds(1));
    return etag.status();
  }
  const ConnectorEntry entry{config, false, *etag};
  MutexLock lock(&mutex_);
  connector_entries_[config.name] = entry;
  return entry;
}

absl::Status Catalogue::DeleteConnector(const std::string& name, const std::string& etag,
                                        absl::Duration bound) {
  MutexLock change(&change_mutex_);
  auto entry = GetConnector(name);
  if (!entry.ok()) return entry.status();
  const std::string resource = absl::StrCat("connectors/", name);
  if (entry->from_file) return ReadOnly(resource);
  if (absl::Status s = CheckEtag(resource, etag, entry->etag); !s.ok()) return s;
  if (const std::string user = pipelines_->UserOf(name); !user.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "CONNECTOR_IN_USE",
                 absl::StrCat(resource, " is used by pipelines/", user, "; delete that first"),
                 {{"pipeline", absl::StrCat("pipelines/", user)}});
  }
  // Forgotten first: after a crash in between it is gone, not back from the dead.
  if (absl::Status s = store_->resources().Remove(KindOf(entry->config), name); !s.ok()) return s;
  {
    MutexLock lock(&mutex_);
    connector_entries_.erase(name);
  }
  return registry_->DeleteInstance(name, bound);
}

absl::StatusOr<ConnectorEntry> Catalogue::GetConnector(const std::string& name) const {
  MutexLock lock(&mutex_);
  const auto it = connector_entries_.find(name);
  if (it == connector_entries_.end()) return NoConnector(name);
  return it->second;
}

std::vector<ConnectorEntry> Catalogue::ListConnectors() const {
  MutexLock lock(&mutex_);
  return Values(connector_entries_);
}

absl::StatusOr<PipelineEntry> Catalogue::CreatePipeline(const PipelineConfig& config,
                                                        const std::string& body) {
  MutexLock change(&change_mutex_);
  if (GetPipeline(config.name).ok()) {
    return Error(absl::StatusCode::kAlreadyExists, "PIPELINE_EXISTS",
                 absl::StrCat("a pipeline named \"", config.name, "\" exists"),
                 {{"name", absl::StrCat("pipelines/", config.name)}});
  }
  if (absl::Status s = pipelines_->Create(config); !s.ok()) return s;
  auto etag = store_->resources().Put("pipeline", config.name, body);
  absl::Status status = etag.status();
  if (status.ok() && config.autostart) {
    status = pipelines_->Start(config.name);
    if (!status.ok()) (void)store_->resources().Remove("pipeline", config.name);
  }
  if (!status.ok()) {
    (void)pipelines_->Delete(config.name);
    return status;
  }
  const PipelineEntry entry{config, false, *etag};
  MutexLock lock(&mutex_);
  pipeline_entries_[config.name] = entry;
  return entry;
}

absl::Status Catalogue::DeletePipeline(const std::string& name, const std::string& etag) {
  MutexLock change(&change_mutex_);
  auto entry = GetPipeline(name);
  if (!entry.ok()) return entry.status();
  const std::string resource = absl::StrCat("pipelines/", name);
  if (entry->from_file) return ReadOnly(resource);
  if (absl::Status s = CheckEtag(resource, etag, entry->etag); !s.ok()) return s;
  if (absl::Status s = pipelines_->Delete(name); !s.ok()) return s;
  if (absl::Status s = store_->resources().Remove("pipeline", name); !s.ok()) return s;
  MutexLock lock(&mutex_);
  pipeline_entries_.erase(name);
  return absl::OkStatus();
}

absl::StatusOr<PipelineEntry> Catalogue::GetPipeline(const std::string& name) const {
  MutexLock lock(&mutex_);
  const auto it = pipeline_entries_.find(name);
  if (it == pipeline_entries_.end()) return NoPipeline(name);
  return it->second;
}

std::vector<PipelineEntry> Catalogue::ListPipelines() const {
  MutexLock lock(&mutex_);
  return Values(pipeline_entries_);
}

}  // namespace mfn::rpc
