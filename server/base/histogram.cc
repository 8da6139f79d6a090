// Adds up the threads' parts.
#include "server/base/histogram.h"

namespace mfn {

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  parts_.ForEach([&](const Part& part) {
    for (size_t k = 0; k < part.counts.size(); ++k) {
      const uint64_t count = part.counts[k].Get();
      if (k < HistogramSnapshot::kBounds) snapshot.cumulative[k] += count;
      snapshot.count += count;
    }
    snapshot.sum_nanos += static_cast<int64_t>(part.sum.Get());
  });
  for (size_t k = 1; k < HistogramSnapshot::kBounds; ++k) {
    snapshot.cumulative[k] += snapshot.cumulative[k - 1];
  }
  return snapshot;
}

}  // namespace mfn
