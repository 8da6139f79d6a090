// Families by name, each with its samples.
#include "server/base/metric_set.h"

#include <algorithm>

namespace mfn {

void MetricSet::Counter(absl::string_view name, absl::string_view help, MetricLabels labels,
                        double value) {
  Add(name, help, MetricKind::kCounter, {std::move(labels), value, {}});
}

void MetricSet::Gauge(absl::string_view name, absl::string_view help, MetricLabels labels,
                      double value) {
  Add(name, help, MetricKind::kGauge, {std::move(labels), value, {}});
}

void MetricSet::Histogram(absl::string_view name, absl::string_view help, MetricLabels labels,
                          MetricHistogram histogram) {
  Add(name, help, MetricKind::kHistogram, {std::move(labels), 0, std::move(histogram)});
}

void MetricSet::Add(absl::string_view name, absl::string_view help, MetricKind kind,
                    MetricSample sample) {
  auto found = families_.find(name);
  if (found == families_.end()) {
    found = families_.emplace(std::string(name), MetricFamily{std::string(help), kind, {}}).first;
  }
  if (found->second.kind != kind) return;
  auto& labels = sample.labels;
  labels.erase(std::remove_if(labels.begin(), labels.end(),
                              [](const auto& label) { return label.second.empty(); }),
               labels.end());
  found->second.samples.push_back(std::move(sample));
}

}  // namespace mfn
