// The metrics that the plugin of one instance registered. They belong to the instance and outlive
// its replacement: counters go on, gauges begin at zero again. Thread-safe.
#ifndef MFN_SERVER_REGISTRY_PLUGIN_METRICS_H_
#define MFN_SERVER_REGISTRY_PLUGIN_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "server/base/mutex.h"
#include "server/registry/instance.h"

namespace mfn::registry {

class PluginMetrics {
 public:
  // The id of the metric, from 1; the same for the same name and labels. 0: it exists as the other
  // kind, or there are too many.
  uint64_t Register(PluginMetric metric);
  // Takes no lock. An unknown id, NaN, and a counter that would go down are ignored.
  void Add(uint64_t id, double value);
  // What the instance that is gone had in use, nobody has any more.
  void ZeroGauges();

  // In the order of registration.
  std::vector<PluginMetric> Read() const;

 private:
  static constexpr size_t kMaxMetrics = 256;
  struct Metric {
    PluginMetric about;  // its value stays 0
    std::atomic<double> value{0};
  };

  Mutex mutex_;
  std::vector<std::unique_ptr<Metric>> owned_ ABSL_GUARDED_BY(mutex_);
  // By id - 1; set once, read without the mutex.
  std::array<std::atomic<Metric*>, kMaxMetrics> metrics_ = {};
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_PLUGIN_METRICS_H_
