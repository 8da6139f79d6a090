// The registry: what has been loaded, by type, and what has been made of it, by name.
#include "server/registry/registry.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/registry/admission.h"
#include "server/registry/call_threads.h"
#include "server/registry/host_state.h"
#include "server/registry/import.h"
#include "server/registry/instance_impl.h"
#include "server/registry/library.h"

namespace mfn::registry {
namespace {

// How long the instances that are left get when the registry goes.
constexpr absl::Duration kLastBound = absl::Seconds(5);
// What each of them gets when the others have used that up.
constexpr absl::Duration kLeastBound = absl::Milliseconds(100);

class RegistryImpl final : public Registry {
 public:
  explicit RegistryImpl(const RegistryOptions& options) : options_(options) {}
  ~RegistryImpl() override { Close(kLastBound); }

  absl::Status LoadDirectory(const std::string& dir, std::vector<LoadError>* errors) override;
  absl::Status LoadFile(const std::string& path) override;
  std::vector<PluginInfo> plugins() const override {
    MutexLock lock(&mutex_);
    return plugins_;
  }
  absl::StatusOr<ComponentInfo> FindComponent(absl::string_view type) const override;
  absl::Status Validate(const InstanceConfig& config) const override;
  absl::StatusOr<std::shared_ptr<Instance>> CreateInstance(const InstanceConfig& config) override;
  std::shared_ptr<Instance> Find(absl::string_view name) const override;
  std::vector<std::shared_ptr<Instance>> instances() const override;
  absl::Status DeleteInstance(absl::string_view name, absl::Duration bound) override;
  void Close(absl::Duration bound) override;
  std::string Redacted(const InstanceConfig& config) const override;

 private:
  using ComponentPtr = std::shared_ptr<const Component>;
  absl::StatusOr<ComponentPtr> Get(absl::string_view type) const;
  absl::Status Add(ImportedPlugin plugin);
  void PutBack(const std::string& file, const ThreadState& thread) const;

  const RegistryOptions options_;
  const std::shared_ptr<CallThreads> threads_ = std::make_shared<CallThreads>();
  mutable Mutex mutex_;
  std::set<std::string> paths_ ABSL_GUARDED_BY(mutex_);  // canonical
  std::vector<PluginInfo> plugins_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ComponentPtr, std::less<>> components_ ABSL_GUARDED_BY(mutex_);
  // Null while one of that name is being made.
  std::map<std::string, std::shared_ptr<Instance>, std::less<>> instances_ ABSL_GUARDED_BY(mutex_);
};

absl::Status RegistryImpl::LoadDirectory(const std::string& dir, std::vector<LoadError>* errors) {
  if (absl::Status s = CheckPluginDirectory(dir); !s.ok()) return s;
  absl::StatusOr<std::vector<std::string>> files = PluginFiles(dir);
  if (!files.ok()) return files.status();
  for (const std::string& path : *files) {
    absl::Status status = LoadFile(path);
    if (status.ok()) continue;
    Log(LogLevel::kError, "registry", "a plugin was not loaded",
        {{"path", path}, {"error", std::string(status.message())}});
    if (errors != nullptr) errors->push_back({path, std::move(status)});
  }
  return absl::OkStatus();
}

absl::Status RegistryImpl::LoadFile(const std::string& path) {
  std::error_code error;
  const std::string canonical = std::filesystem::canonical(path, error).string();
  {
    MutexLock lock(&mutex_);
    if (!error && paths_.count(canonical) > 0) return absl::OkStatus();
  }
  const std::string& file = error ? path : canonical;
  if (absl::Status s = CheckSharedObject(file); !s.ok()) return s;
  if (absl::Status s = AdmitFile(file, options_); !s.ok()) return s;
  const ThreadState thread(/*signals=*/true);
  absl::StatusOr<const mfn_plugin*> descriptor = OpenPlugin(file);
  PutBack(file, thread);
  if (!descriptor.ok()) return descriptor.status();
  absl::StatusOr<ImportedPlugin> plugin = ImportPlugin(*descriptor);
  if (!plugin.ok()) {
    return absl::Status(plugin.status().code(),
                        absl::StrCat(path, ": ", plugin.status().message()));
  }
  plugin->info.path = canonical;
  return Add(*std::move(plugin));
}

// What loading a library changed, also one that was then refused.
void RegistryImpl::PutBack(const std::string& file, const ThreadState& thread) const {
  for (const std::string& changed : {thread.Restore(), threads_->host_state().Restore()}) {
    if (changed.empty()) continue;
    Log(LogLevel::kWarning, "registry", "loading a library changed what is the server's; put back",
        {{"path", file}, {"changed", changed}});
  }
}

absl::Status RegistryImpl::Add(ImportedPlugin plugin) {
  MutexLock lock(&mutex_);
  if (!paths_.insert(plugin.info.path).second) return absl::OkStatus();
  for (const ComponentPtr& component : plugin.components) {
    const auto known = components_.find(component->info.type);
    if (known == components_.end()) continue;
    paths_.erase(plugin.info.path);
    return absl::AlreadyExistsError(absl::StrCat(
        plugin.info.path, ": the type \"", component->info.type, "\" is already offered by plugin ",
        known->second->plugin_id, "; remove one of the two"));
  }
  for (ComponentPtr& component : plugin.components) {
    components_.emplace(component->info.type, std::move(component));
  }
  plugins_.push_back(std::move(plugin.info));
  return absl::OkStatus();
}

absl::StatusOr<RegistryImpl::ComponentPtr> RegistryImpl::Get(absl::string_view type) const {
  MutexLock lock(&mutex_);
  const auto found = components_.find(type);
  if (found != components_.end()) return found->second;
  std::string known;
  for (const auto& [name, unused] : components_) {
    absl::StrAppend(&known, known.empty() ? "" : ", ", name);
  }
  return absl::NotFoundError(absl::StrCat("no plugin offers the type \"", type,
                                          "\"; loaded: ", known.empty() ? "none" : known));
}

absl::StatusOr<ComponentInfo> RegistryImpl::FindComponent(absl::string_view type) const {
  absl::StatusOr<ComponentPtr> component = Get(type);
  if (!component.ok()) return component.status();
  return (*component)->info;
}

absl::Status RegistryImpl::Validate(const InstanceConfig& config) const {
  const auto named = [&](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat("\"", config.name, "\": ", status.message()));
  };
  absl::StatusOr<ComponentPtr> component = Get(config.type);
  if (!component.ok()) return named(component.status());
  const ComponentInfo& info = (*component)->info;
  const bool connector = config.role == InstanceRole::kConnector;
  if (connector ? !info.source && !info.executor : !info.sink) {
    return named(absl::InvalidArgumentError(absl::StrCat(
        "type \"", info.type, "\" cannot be a ",
        connector ? "connector: it is neither source nor executor" : "publisher: it is no sink")));
  }
  if (absl::Status s = (*component)->schema->Validate(config.config_json); !s.ok()) {
    return named(s);
  }
  const auto context =
      std::make_shared<const InstanceContext>(*component, config, options_, threads_);
  if (absl::Status s = ValidateByComponent(context); !s.ok()) {
    return named(s);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Instance>> RegistryImpl::CreateInstance(
    const InstanceConfig& config) {
  if (absl::Status s = Validate(config); !s.ok()) return s;
  absl::StatusOr<ComponentPtr> component = Get(config.type);
  if (!component.ok()) return component.status();
  {
    MutexLock lock(&mutex_);
    if (!instances_.emplace(config.name, nullptr).second) {
      return absl::AlreadyExistsError(absl::StrCat("\"", config.name, "\" exists already"));
    }
  }
  absl::StatusOr<std::shared_ptr<Instance>> instance = MakeInstance(
      std::make_shared<const InstanceContext>(*std::move(component), config, options_, threads_));
  MutexLock lock(&mutex_);
  if (instance.ok()) {
    instances_[config.name] = *instance;
    return instance;
  }
  instances_.erase(config.name);
  return absl::Status(instance.status().code(),
                      absl::StrCat("\"", config.name, "\": ", instance.status().message()));
}

std::shared_ptr<Instance> RegistryImpl::Find(absl::string_view name) const {
  MutexLock lock(&mutex_);
  const auto found = instances_.find(name);
  return found == instances_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Instance>> RegistryImpl::instances() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Instance>> all;
  for (const auto& [name, instance] : instances_) {
    if (instance != nullptr) all.push_back(instance);
  }
  return all;
}

absl::Status RegistryImpl::DeleteInstance(absl::string_view name, absl::Duration bound) {
  std::shared_ptr<Instance> instance;
  {
    MutexLock lock(&mutex_);
    const auto found = instances_.find(name);
    if (found == instances_.end() || found->second == nullptr) {
      return absl::NotFoundError(absl::StrCat("there is no instance \"", name, "\""));
    }
    instance = std::move(found->second);
    instances_.erase(found);
  }
  instance->Close(bound);
  return absl::OkStatus();
}

void RegistryImpl::Close(absl::Duration bound) {
  const absl::Time until = absl::Now() + bound;
  for (const std::shared_ptr<Instance>& instance : instances()) {
    instance->Close(std::max(until - absl::Now(), kLeastBound));
  }
}

std::string RegistryImpl::Redacted(const InstanceConfig& config) const {
  absl::StatusOr<ComponentPtr> component = Get(config.type);
  // Without a schema nobody knows what is secret, so nothing is shown.
  return component.ok() ? (*component)->schema->Redacted(config.config_json) : "{}";
}

}  // namespace

std::unique_ptr<Registry> Registry::Create(RegistryOptions options) {
  return std::make_unique<RegistryImpl>(options);
}

}  // namespace mfn::registry
