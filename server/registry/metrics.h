// What the instances have to say to whoever watches the server, and what their plugins registered
// themselves; server/observability/README.md lists the names.
#ifndef MFN_SERVER_REGISTRY_METRICS_H_
#define MFN_SERVER_REGISTRY_METRICS_H_

#include "server/base/metric_set.h"
#include "server/registry/registry.h"

namespace mfn::registry {

// Plugins' own series, all instances together: an instance registers at most 256, and what is
// beyond this is left out and counted.
inline constexpr size_t kMaxPluginSeries = 10000;

// Thread-safe; calls no plugin.
void CollectMetrics(const Registry& registry, MetricSet* out);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_METRICS_H_
