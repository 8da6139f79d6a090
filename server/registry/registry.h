// All plugins and all instances of the process.
//
//   auto registry = Registry::Create(options);
//   registry->LoadDirectory(dir);                    // every .so in it; errors are per file
//   registry->CreateInstance(instance_config);       // validated against the component's schema
//   registry->Find("api")->Check(...);
//
// Libraries are never unloaded. Thread-safe.
#ifndef MFN_SERVER_REGISTRY_REGISTRY_H_
#define MFN_SERVER_REGISTRY_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/config_loader.h"
#include "server/registry/instance.h"

namespace mfn::store {
class StateStore;  // server/store/state_store.h
}

namespace mfn::registry {

struct ComponentInfo {
  std::string type, summary, config_schema;
  bool source = false, sink = false, executor = false;
  bool deferred = false, dedups_by_key = false;
};

struct PluginInfo {
  std::string id, version, vendor, license, path;
  uint32_t abi_minor = 0;
  std::vector<ComponentInfo> components;
};

struct LoadError {
  std::string path;
  absl::Status status;
};

struct RegistryOptions {
  Clock* clock = Clock::Real();
  Sleeper* sleeper = Sleeper::Real();
  RandomSource* random = RandomSource::Real();
  // Behind the plugins' mfn.state/1; null: the extension is absent. Not owned, outlives the
  // registry.
  store::StateStore* state = nullptr;
  // The program that loads an unknown library first (probe.h); empty: libraries are not probed.
  std::string probe_helper;
  absl::Duration probe_timeout = absl::Seconds(10);
  // File name -> SHA-256 in lower-case hex. Not empty: only these are loaded, with these contents.
  std::map<std::string, std::string> pins;
  // Where ${VARIABLE} of a configuration is looked up when its secrets are resolved again.
  EnvLookup env = ProcessEnv();
  // How long after its deadline or cancellation a call is waited for before its thread is written
  // off: the ABI promises 250 ms, the rest is the machine's.
  absl::Duration overrun_grace = absl::Seconds(1);
  // An instance that has this many threads written off makes no call until one of them returns.
  int max_stuck_calls = 8;
};

// The threads of this process that are inside plugin calls that were written off. While there is
// one, nothing that plugins use (the store, static objects) may be destroyed: stop with _exit.
int StuckPluginThreads();

class Registry {
 public:
  static std::unique_ptr<Registry> Create(RegistryOptions options);
  virtual ~Registry() = default;

  // FAILED_PRECONDITION for a directory that is missing or world-writable (then nothing is
  // loaded). A file that is no plugin does not stop the others; it is reported in `errors`.
  virtual absl::Status LoadDirectory(const std::string& dir, std::vector<LoadError>* errors) = 0;
  // INVALID_ARGUMENT: no plugin, or a defective one; FAILED_PRECONDITION: cannot be loaded into
  // this server, or the probe did not survive it; PERMISSION_DENIED: not as pinned. Loaded already:
  // OK.
  virtual absl::Status LoadFile(const std::string& path) = 0;

  virtual std::vector<PluginInfo> plugins() const = 0;
  // NOT_FOUND names the known types.
  virtual absl::StatusOr<ComponentInfo> FindComponent(absl::string_view type) const = 0;

  // Checks role, schema (error carries the JSON pointer) and the component's own validate; no I/O.
  virtual absl::Status Validate(const InstanceConfig& config) const = 0;
  // Validates and creates; ALREADY_EXISTS by name. Does not connect.
  virtual absl::StatusOr<std::shared_ptr<Instance>> CreateInstance(
      const InstanceConfig& config) = 0;
  virtual std::shared_ptr<Instance> Find(absl::string_view name) const = 0;  // null: none
  virtual std::vector<std::shared_ptr<Instance>> instances() const = 0;      // by name
  // Closes it. NOT_FOUND.
  virtual absl::Status DeleteInstance(absl::string_view name, absl::Duration bound) = 0;
  // Closes all instances, all within the bound but for a moment each. The end of this object does
  // it too.
  virtual void Close(absl::Duration bound) = 0;
  // `config_json` with every field that the schema marks writeOnly replaced by "REDACTED".
  virtual std::string Redacted(const InstanceConfig& config) const = 0;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_REGISTRY_H_
