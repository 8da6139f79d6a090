// A histogram of latencies as a metric in seconds.
#ifndef MFN_SERVER_BASE_HISTOGRAM_METRIC_H_
#define MFN_SERVER_BASE_HISTOGRAM_METRIC_H_

#include <algorithm>

#include "server/base/histogram.h"
#include "server/base/metric_set.h"

namespace mfn {

// Two of its buckets in one, from 16 us on: half of the series, and still within a factor of four.
inline MetricHistogram ToMetric(const HistogramSnapshot& from) {
  MetricHistogram to;
  uint64_t before = 0;
  for (size_t k = 2; k < HistogramSnapshot::kBounds; k += 2) {
    to.bounds.push_back(static_cast<double>(HistogramSnapshot::BoundNanos(k)) / 1e9);
    to.counts.push_back(from.cumulative[k] - std::min(before, from.cumulative[k]));
    before = std::max(before, from.cumulative[k]);
  }
  to.counts.push_back(from.count - std::min(before, from.count));
  to.sum = static_cast<double>(from.sum_nanos) / 1e9;
  return to;
}

}  // namespace mfn

#endif  // MFN_SERVER_BASE_HISTOGRAM_METRIC_H_
