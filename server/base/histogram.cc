// Adds up the threads' parts.
#include "server/base/histogram.h"

namespace mfn {

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  parts_.ForEach([&](const Part& part) {
    for (size_t k = 0; k < HistogramSnapshot::kBounds; ++k) {
      snapshot.cumulative[k] += part.counts[k].Get();
    }
    snapshot.count += part.counts[HistogramSnapshot::kBounds].Get();
    snapshot.sum_nanos += static_cast<int64_t>(part.sum.Get());
  });
  for (size_t k = 1; k < HistogramSnapshot::kBounds; ++k) {
    snapshot.cumulative[k] += snapshot.cumulative[k - 1];
  }
  snapshot.count += snapshot.cumulative[HistogramSnapshot::kBounds - 1];
  return snapshot;
}

}  // namespace mfn
