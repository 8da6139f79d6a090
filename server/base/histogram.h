// Latencies in fixed buckets, for Prometheus: 4.096 us, then twice as much each, up to 68.7 s.
// A quantile read from it is off by less than a factor of two.
//
// Thread-safe and lock-free. Observe allocates when a thread meets the histogram for the first
// time and never again; threads do not disturb each other (thread_shards.h).
#ifndef MFN_SERVER_BASE_HISTOGRAM_H_
#define MFN_SERVER_BASE_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "server/base/thread_shards.h"

namespace mfn {

// What was observed. Parts of an observation that runs at the same time may be missing.
struct HistogramSnapshot {
  static constexpr size_t kBounds = 25;
  // Upper bound of a bucket, inclusive, in nanoseconds.
  static constexpr int64_t BoundNanos(size_t bucket) { return int64_t{4096} << bucket; }

  // Observations of at most BoundNanos(k); the rest of `count` were longer than the last bound.
  std::array<uint64_t, kBounds> cumulative = {};
  uint64_t count = 0;
  int64_t sum_nanos = 0;
};

class Histogram {
 public:
  // Less than zero counts as zero. `slot` is the calling thread's.
  void Observe(int64_t nanos, int slot = ThreadSlot()) {
    // The index of the smallest bound that is not below the value.
    const auto above = static_cast<uint64_t>(std::max<int64_t>(1, nanos) - 1);
    const size_t bucket = (63u ^ static_cast<unsigned>(std::countl_zero(above | 4095))) - 11;
    const auto mine = parts_.Mine(slot);
    mine.part->counts[bucket].Add(1, mine.exclusive);
    mine.part->sum.Add(static_cast<uint64_t>(std::max<int64_t>(0, nanos)), mine.exclusive);
  }

  HistogramSnapshot Snapshot() const;

 private:
  struct Part {
    std::array<Counter, 64 - 12> counts;  // also beyond the last bound: no comparison is needed
    Counter sum;
  };
  ThreadShards<Part> parts_;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_HISTOGRAM_H_
