#include "server/app.h"

#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/config_loader.h"
#include "server/base/log.h"
#include "server/observability/process_metrics.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/metrics.h"
#include "server/registry/metrics.h"
#include "server/store/state_store.h"

namespace mfn {
namespace {

// How long calls that still run get after the pipelines have drained.
constexpr absl::Duration kCallBound = absl::Seconds(5);
// How often the store has to show that it can be written, and how long that counts.
constexpr absl::Duration kStoreProbe = absl::Seconds(2);
constexpr absl::Duration kStoreAnswer = absl::Seconds(10);

// Of a build "plugins" beside the folder of this program, of an installation the plugins' own
// folder; empty if there is neither.
std::string DefaultPluginDir() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  for (const char* name : {"plugins", MFN_PLUGIN_INSTALL_DIR}) {
    const std::filesystem::path dir = program.parent_path().parent_path() / name;
    if (std::filesystem::is_directory(dir, error)) return dir.string();
  }
  return "";
}

// Where the helper that probes plugins is: beside this program, or in libexec or bin of the same
// installation. If it is in none, the first, for the error to name.
std::string ProbeHelper() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path dir = program.parent_path();
  for (const std::filesystem::path& at :
       {dir, dir.parent_path() / "libexec", dir.parent_path() / "bin"}) {
    const std::string path = at / "mfn-plugin-probe";
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return dir / "mfn-plugin-probe";
}

registry::RegistryOptions MakeRegistryOptions(const ServerConfig& config) {
  registry::RegistryOptions options;
  if (config.plugin_probe) options.probe_helper = ProbeHelper();
  options.pins = config.plugin_pins;
  return options;
}

// A file that is no plugin is reported and does not stop the others; a bad folder stops.
// `rejected` counts those files.
absl::Status LoadPlugins(const ServerConfig& config, registry::Registry* registry,
                         size_t* rejected) {
  std::vector<std::string> dirs = config.plugin_dirs;
  if (dirs.empty()) {
    if (std::string dir = DefaultPluginDir(); !dir.empty()) dirs.push_back(std::move(dir));
  }
  for (const std::string& dir : dirs) {
    std::vector<registry::LoadError> errors;
    if (absl::Status s = registry->LoadDirectory(dir, &errors); !s.ok()) return s;
    *rejected += errors.size();
  }
  return absl::OkStatus();
}

// Collects what is wrong with a configuration that is well-formed.
class Checker {
 public:
  Checker(const registry::Registry& registry, std::string source)
      : registry_(registry), source_(std::move(source)) {}

  void Check(const InstanceConfig& config) {
    auto component = registry_.FindComponent(config.type);
    if (!component.ok()) {
      Add(config.line, config.name, component.status());
      return;
    }
    components_[config.name] = *component;
    Add(config.line, config.name, registry_.Validate(config));
  }

  void Check(const PipelineConfig& config) {
    const auto need = [&](const std::string& name, bool registry::ComponentInfo::*part,
                          absl::string_view what) {
      const auto it = components_.find(name);  // unknown names were found by the loader
      if (it == components_.end() || it->second.*part) return;
      Add(config.line, config.name,
          absl::InvalidArgumentError(
              absl::StrCat("\"", name, "\" is of type ", it->second.type, ", which is no ", what)));
    };
    need(config.source, &registry::ComponentInfo::source, "source");
    for (const SinkRef& sink : config.sinks) {
      need(sink.publisher, &registry::ComponentInfo::sink, "sink");
    }
    need(config.dead_letter_publisher, &registry::ComponentInfo::sink, "sink");
    need(config.error_publisher, &registry::ComponentInfo::sink, "sink");
    CheckShared(config);
  }

  absl::Status status() const {
    if (problems_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(problems_, "\n"));
  }

 private:
  // A flush speaks for everything written before it, so a deferred publisher has one pipeline.
  void CheckShared(const PipelineConfig& config) {
    std::set<std::string> names = {config.dead_letter_publisher, config.error_publisher};
    for (const SinkRef& sink : config.sinks) names.insert(sink.publisher);
    for (const std::string& name : names) {
      const auto it = components_.find(name);
      if (it == components_.end() || !it->second.deferred) continue;
      const auto [user, first] = users_.emplace(name, config.name);
      if (first) continue;
      Add(config.line, config.name,
          absl::InvalidArgumentError(absl::StrCat(
              "publisher \"", name, "\" writes in deferred batches and belongs to pipeline \"",
              user->second, "\" already; make a second publisher")));
    }
  }

  void Add(int line, const std::string& name, const absl::Status& status) {
    if (status.ok()) return;
    problems_.push_back(
        absl::StrCat(source_, ":", line, ": ", name, ": ", std::string(status.message())));
  }

  const registry::Registry& registry_;
  const std::string source_;
  std::map<std::string, registry::ComponentInfo> components_;
  std::map<std::string, std::string> users_;  // deferred publisher -> its pipeline
  std::vector<std::string> problems_;
};

absl::Status CheckAgainst(const registry::Registry& registry, const Config& config,
                          const std::string& source) {
  Checker checker(registry, source);
  for (const InstanceConfig& one : config.connectors) checker.Check(one);
  for (const InstanceConfig& one : config.publishers) checker.Check(one);
  for (const PipelineConfig& one : config.pipelines) checker.Check(one);
  return checker.status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<App>> App::Start(const Config& config, const std::string& source) {
  std::unique_ptr<App> app(new App(config));
  if (absl::Status s = app->Init(source); !s.ok()) return s;
  return app;
}

App::App(const Config& config)
    : config_(config),
      readiness_({"configuration", "store", "plugins", "serving"}, Clock::Real()) {}

absl::Status App::Init(const std::string& source) {
  if (absl::Status s = ListenHttp(); !s.ok()) return s;
  auto store = store::Store::Open(config_.server.state_dir);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  registry::RegistryOptions options = MakeRegistryOptions(config_.server);
  options.state = &store_->state();
  registry_ = registry::Registry::Create(options);
  size_t rejected = 0;
  if (absl::Status s = LoadPlugins(config_.server, registry_.get(), &rejected); !s.ok()) return s;
  const std::string note =
      rejected == 0 ? "" : absl::StrCat(rejected, " files are no plugins; the log names them");
  readiness_.Set("plugins", absl::OkStatus(), note);
  if (absl::Status s = CheckAgainst(*registry_, config_, source); !s.ok()) return s;
  readiness_.Set("configuration", absl::OkStatus());
  pipeline::PipelineManager::Options pipelines;
  pipelines.registry = registry_.get();
  pipelines.store = store_.get();
  pipelines.drain_timeout = config_.server.drain_timeout;
  pipelines.dead_letters = config_.server.dead_letters;
  pipelines_ = pipeline::PipelineManager::Create(pipelines);
  catalogue_ = std::make_unique<rpc::Catalogue>(registry_.get(), pipelines_.get(), store_.get());
  if (absl::Status s = catalogue_->AddFromFile(config_); !s.ok()) return s;
  if (absl::Status s = catalogue_->Restore(); !s.ok()) return s;
  rpc::Server::Parts parts;
  parts.registry = registry_.get();
  parts.pipelines = pipelines_.get();
  parts.store = store_.get();
  parts.catalogue = catalogue_.get();
  auto server = rpc::Server::Start(config_.server, parts);
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  // Last, so that nothing is read by a server that then fails to start.
  catalogue_->StartPipelines();
  serving_ = true;
  readiness_.Set("serving", absl::OkStatus());
  ProbeStore();
  health_ = std::thread([this] { WatchHealth(); });
  return absl::OkStatus();
}

absl::Status App::ListenHttp() {
  if (config_.server.http.listen.empty()) return absl::OkStatus();
  observability::HttpListener::Options options;
  options.listen = config_.server.http.listen;
  if (config_.server.api_key_required) options.api_keys = config_.server.api_keys;
  observability::HttpListener::Hooks hooks;
  hooks.collect = [this](MetricSet* out) { Collect(out); };
  hooks.checks = [this] { return readiness_.Checks(); };
  auto http = observability::HttpListener::Start(options, std::move(hooks));
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  return absl::OkStatus();
}

void App::Collect(MetricSet* out) const {
  observability::CollectProcessMetrics(out);
  out->Gauge(
      "mfn_build_info", "1; the labels say what runs.",
      {{"version", MFN_VERSION}, {"engine_revision", std::string(pipeline::kEngineRevision)}}, 1);
  for (const ReadinessCheck& check : readiness_.Checks()) {
    out->Gauge("mfn_ready", "1 for a check of /readyz that holds.", {{"check", check.name}},
               check.ok ? 1 : 0);
  }
  if (!serving_) return;
  pipeline::CollectMetrics(*pipelines_, out);
  registry::CollectMetrics(*registry_, out);
  server_->Collect(out);
}

void App::ProbeStore() {
  // No instance can have this name, so no plugin ever meets this entry.
  const absl::Status written = store_->state().Put("(mfnd)", "probe", "");
  readiness_.SetFor("store", written, kStoreAnswer);
  server_->SetHealth(readiness_.Ready());
}

void App::WatchHealth() {
  const Cancellation ending = ending_.token();
  while (!ending.WaitFor(kStoreProbe)) ProbeStore();
}

void App::Stop() {
  readiness_.Set("serving", absl::UnavailableError("stopping: pipelines drain, calls end"));
  if (server_ != nullptr) server_->SetHealth(false);
  ending_.Cancel();
  if (health_.joinable()) health_.join();
  if (pipelines_ != nullptr) pipelines_->Shutdown();
  if (server_ != nullptr) server_->Shutdown(kCallBound);
  if (registry_ != nullptr) registry_->Close(kCallBound);
}

App::~App() { Stop(); }

absl::Status CheckConfig(const Config& config, const std::string& source, std::string* printed) {
  const std::unique_ptr<registry::Registry> registry =
      registry::Registry::Create(MakeRegistryOptions(config.server));
  size_t rejected = 0;
  if (absl::Status s = LoadPlugins(config.server, registry.get(), &rejected); !s.ok()) return s;
  if (absl::Status s = CheckAgainst(*registry, config, source); !s.ok()) return s;
  if (printed == nullptr) return absl::OkStatus();
  *printed = PrintConfig(
      config, [&](const InstanceConfig& instance) { return registry->Redacted(instance); });
  return absl::OkStatus();
}

}  // namespace mfn
