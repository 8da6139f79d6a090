// Successes and failures of the last while, for the breaker's failure ratio: in slices that are
// forgotten one at a time, an eighth of the window at most.
//
// Counts of one generation of the breaker are invisible to every other, so that nothing need be
// cleared when it changes and a late result cannot count for a state that it does not belong to.
//
// Thread-safe and lock-free; threads that add do not disturb each other. Memory is constant.
#ifndef MFN_SERVER_RESILIENCE_CALL_WINDOW_H_
#define MFN_SERVER_RESILIENCE_CALL_WINDOW_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "server/base/thread_shards.h"

namespace mfn::resilience {

class CallWindow {
 public:
  struct Counts {
    uint64_t calls = 0, failures = 0;
  };

  // A slice is a power of two of nanoseconds, so that finding it is a shift: 8 to 16 of them.
  explicit CallWindow(int64_t window_ns)
      : shift_(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(8, window_ns)) / 8) - 1),
        slices_(((std::max<int64_t>(8, window_ns) - 1) >> shift_) + 1) {}

  // `slot` is the calling thread's.
  void Add(uint64_t generation, bool failed, int64_t now_ns, int slot = ThreadSlot()) {
    const int64_t number = now_ns >> shift_;
    const auto mine = parts_.Mine(slot);
    std::atomic<uint64_t>& cell = mine.part->cells[failed][static_cast<uint64_t>(number) % kCells];
    const uint64_t tag = Tag(generation, number);
    uint64_t seen = cell.load(std::memory_order_relaxed);
    if (mine.exclusive) return cell.store(Next(seen, tag), std::memory_order_relaxed);
    while (!cell.compare_exchange_weak(seen, Next(seen, tag), std::memory_order_relaxed)) {
    }
  }

  Counts Sum(uint64_t generation, int64_t now_ns) const {
    const int64_t newest = now_ns >> shift_;
    Counts sum;
    parts_.ForEach([&](const Part& part) {
      for (int64_t number = newest - slices_ + 1; number <= newest; ++number) {
        const uint64_t tag = Tag(generation, number);
        const uint64_t failures = Read(part, true, number, tag);
        sum.failures += failures;
        sum.calls += failures + Read(part, false, number, tag);
      }
    });
    return sum;
  }

 private:
  static constexpr uint64_t kCells = 16;
  static constexpr uint64_t kCountBits = 24;
  static constexpr uint64_t kMaxCount = (uint64_t{1} << kCountBits) - 1;

  // A cell is a tag and a count in one word: read and written together. A count that is full stays
  // so; at 2^24 calls in a slice of one thread a ratio does not miss them.
  struct Part {
    std::array<std::array<std::atomic<uint64_t>, kCells>, 2> cells = {};
  };

  // 12 bits of the generation, 28 of the slice's number: the same again after half a year at least.
  // One more, because a cell that was never written reads as 0.
  static uint64_t Tag(uint64_t generation, int64_t number) {
    const uint64_t low = static_cast<uint64_t>(number) & ((uint64_t{1} << 28) - 1);
    return ((generation << 28 | low) + 1) << kCountBits;
  }
  static uint64_t Next(uint64_t seen, uint64_t tag) {
    if ((seen & ~kMaxCount) != tag) return tag | 1;
    return seen + ((seen & kMaxCount) != kMaxCount);
  }
  static uint64_t Read(const Part& part, bool failed, int64_t number, uint64_t tag) {
    const uint64_t word =
        part.cells[failed][static_cast<uint64_t>(number) % kCells].load(std::memory_order_relaxed);
    return (word & ~kMaxCount) == tag ? word & kMaxCount : 0;
  }

  const int shift_;
  const int64_t slices_;
  ThreadShards<Part> parts_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_CALL_WINDOW_H_
