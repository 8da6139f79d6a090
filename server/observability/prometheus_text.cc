// prometheus-cpp does the writing: its serializer, fed with families that are made for one scrape.
#include "server/observability/prometheus_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <vector>

namespace mfn::observability {
namespace {

prometheus::MetricType TypeOf(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric::Histogram HistogramOf(const MetricHistogram& from) {
  prometheus::ClientMetric::Histogram to;
  for (size_t k = 0; k < from.counts.size(); ++k) {
    to.sample_count += from.counts[k];
    const double bound =
        k < from.bounds.size() ? from.bounds[k] : std::numeric_limits<double>::infinity();
    to.bucket.push_back({to.sample_count, bound});
  }
  to.sample_sum = from.sum;
  return to;
}

prometheus::ClientMetric MetricOf(MetricKind kind, const MetricSample& sample) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
  if (kind == MetricKind::kCounter) metric.counter.value = sample.value;
  if (kind == MetricKind::kGauge) metric.gauge.value = sample.value;
  if (kind == MetricKind::kHistogram) metric.histogram = HistogramOf(sample.histogram);
  return metric;
}

}  // namespace

std::string PrometheusText(const MetricSet& set) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& [name, family] : set.families()) {
    prometheus::MetricFamily& to = families.emplace_back();
    to.name = name;
    to.help = family.help;
    to.type = TypeOf(family.kind);
    for (const MetricSample& sample : family.samples) {
      to.metric.push_back(MetricOf(family.kind, sample));
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace mfn::observability
