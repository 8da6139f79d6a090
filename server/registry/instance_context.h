// What one instance keeps while the component instances behind it come and go. Shared by the
// instance and by everything that a call which was written off may still touch; immutable but for
// its counters.
#ifndef MFN_SERVER_REGISTRY_INSTANCE_CONTEXT_H_
#define MFN_SERVER_REGISTRY_INSTANCE_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "server/base/config.h"
#include "server/registry/call_threads.h"
#include "server/registry/import.h"
#include "server/registry/plugin_metrics.h"
#include "server/registry/registry.h"

namespace mfn::registry {

struct InstanceContext {
  InstanceContext(std::shared_ptr<const Component> component_in, const InstanceConfig& config_in,
                  const RegistryOptions& options_in, std::shared_ptr<CallThreads> threads_in)
      : component(std::move(component_in)),
        config(config_in),
        options(options_in),
        threads(std::move(threads_in)) {}

  const std::shared_ptr<const Component> component;
  const InstanceConfig config;
  const RegistryOptions options;
  const std::shared_ptr<CallThreads> threads;

  uint64_t NextEpoch() const { return epochs.fetch_add(1) + 1; }

  mutable PluginMetrics metrics;
  mutable std::atomic<uint64_t> epochs{0};
  mutable std::atomic<uint64_t> overruns{0};     // calls that came back late or not at all
  mutable std::atomic<uint64_t> written_off{0};  // of them, calls that were given up
  mutable std::atomic<int> stuck{0};             // of them, calls that have not returned yet
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_INSTANCE_CONTEXT_H_
