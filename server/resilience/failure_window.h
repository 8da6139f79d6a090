// Calls and failures of the last while, in ten slices that are forgotten one at a time: constant
// memory, and never more than a tenth of the window late. Not thread-safe.
#ifndef MFN_SERVER_RESILIENCE_FAILURE_WINDOW_H_
#define MFN_SERVER_RESILIENCE_FAILURE_WINDOW_H_

#include <algorithm>
#include <array>
#include <cstdint>

namespace mfn::resilience {

class FailureWindow {
 public:
  struct Counts {
    uint64_t calls = 0, failures = 0;
  };

  explicit FailureWindow(int64_t window_ns)
      : slice_ns_(std::max<int64_t>(1, window_ns / static_cast<int64_t>(kSlices))) {}

  void Add(bool failed, int64_t now_ns) {
    const int64_t number = now_ns / slice_ns_;
    Slice& slice = slices_[static_cast<uint64_t>(number) % kSlices];
    if (slice.number != number) slice = Slice{number, {}};
    ++slice.counts.calls;
    if (failed) ++slice.counts.failures;
  }

  Counts Sum(int64_t now_ns) const {
    const int64_t newest = now_ns / slice_ns_;
    Counts sum;
    for (const Slice& slice : slices_) {
      if (slice.number > newest || slice.number <= newest - static_cast<int64_t>(kSlices)) continue;
      sum.calls += slice.counts.calls;
      sum.failures += slice.counts.failures;
    }
    return sum;
  }

  void Clear() { slices_.fill(Slice()); }

 private:
  static constexpr uint64_t kSlices = 10;
  struct Slice {
    int64_t number = -1;
    Counts counts;
  };
  int64_t slice_ns_;
  std::array<Slice, kSlices> slices_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_FAILURE_WINDOW_H_
