#include "server/registry/plugin_metrics.h"

#include <cmath>
#include <utility>

namespace mfn::registry {

uint64_t PluginMetrics::Register(PluginMetric metric) {
  MutexLock lock(&mutex_);
  for (size_t i = 0; i < owned_.size(); ++i) {
    const PluginMetric& known = owned_[i]->about;
    if (known.name != metric.name || known.labels != metric.labels) continue;
    return known.gauge == metric.gauge ? i + 1 : 0;
  }
  if (owned_.size() == kMaxMetrics) return 0;
  auto made = std::make_unique<Metric>();
  made->about = std::move(metric);
  metrics_[owned_.size()].store(made.get(), std::memory_order_release);
  owned_.push_back(std::move(made));
  return owned_.size();
}

void PluginMetrics::Add(uint64_t id, double value) {
  if (id == 0 || id > kMaxMetrics) return;
  Metric* known = metrics_[id - 1].load(std::memory_order_acquire);
  if (known == nullptr || std::isnan(value) || (!known->about.gauge && value < 0)) return;
  known->value.fetch_add(value, std::memory_order_relaxed);
}

void PluginMetrics::ZeroGauges() {
  MutexLock lock(&mutex_);
  for (const auto& metric : owned_) {
    if (metric->about.gauge) metric->value.store(0, std::memory_order_relaxed);
  }
}

std::vector<PluginMetric> PluginMetrics::Read() const {
  std::vector<PluginMetric> metrics;
  for (const std::atomic<Metric*>& slot : metrics_) {
    const Metric* known = slot.load(std::memory_order_acquire);
    if (known == nullptr) break;
    metrics.push_back(known->about);
    metrics.back().value = known->value.load(std::memory_order_relaxed);
  }
  return metrics;
}

}  // namespace mfn::registry
