// Figures of one moment, gathered for whoever watches the server. Each part describes its own
// (pipeline/metrics.h, registry/metrics.h, ...); server/observability turns them into text.
//
//   MetricSet set;
//   set.Counter("mfn_pipeline_records_read_total", "Records read.", {{"pipeline", "p"}}, 17);
//
// Names are Prometheus's: snake_case, base units (_seconds, _bytes), and a counter ends in _total.
// A name has one help text and one kind: those it was first given with; a sample of another kind is
// left out. A label without a value counts as absent. Not thread-safe.
#ifndef MFN_SERVER_BASE_METRIC_SET_H_
#define MFN_SERVER_BASE_METRIC_SET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mfn {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

enum class MetricKind { kCounter, kGauge, kHistogram };

struct MetricHistogram {
  std::vector<double> bounds;    // ascending upper bounds, inclusive; the last bucket has none
  std::vector<uint64_t> counts;  // per bucket, not cumulative: bounds.size() + 1
  double sum = 0;                // of all values
};

struct MetricSample {
  MetricLabels labels;
  double value = 0;           // counters and gauges
  MetricHistogram histogram;  // histograms
};

struct MetricFamily {
  std::string help;
  MetricKind kind = MetricKind::kGauge;
  std::vector<MetricSample> samples;
};

class MetricSet {
 public:
  void Counter(absl::string_view name, absl::string_view help, MetricLabels labels, double value);
  void Gauge(absl::string_view name, absl::string_view help, MetricLabels labels, double value);
  void Histogram(absl::string_view name, absl::string_view help, MetricLabels labels,
                 MetricHistogram histogram);

  // By name.
  const std::map<std::string, MetricFamily, std::less<>>& families() const { return families_; }

 private:
  void Add(absl::string_view name, absl::string_view help, MetricKind kind, MetricSample sample);

  std::map<std::string, MetricFamily, std::less<>> families_;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_METRIC_SET_H_
