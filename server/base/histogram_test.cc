// Bucket edges, and that nothing is lost with many threads, also with more than have own parts.
#include "server/base/histogram.h"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace mfn {
namespace {

TEST(HistogramTest, BoundsAreInclusiveAndDoubling) {
  EXPECT_EQ(HistogramSnapshot::BoundNanos(0), 4096);
  EXPECT_EQ(HistogramSnapshot::BoundNanos(HistogramSnapshot::kBounds - 1), 68'719'476'736);
  for (size_t k = 0; k < HistogramSnapshot::kBounds; ++k) {
    Histogram histogram;
    const int64_t bound = HistogramSnapshot::BoundNanos(k);
    histogram.Observe(bound);
    histogram.Observe(bound + 1);
    const HistogramSnapshot snapshot = histogram.Snapshot();
    EXPECT_EQ(snapshot.cumulative[k], 1u) << bound;
    EXPECT_EQ(k == 0 ? 0u : snapshot.cumulative[k - 1], 0u) << bound;
    EXPECT_EQ(snapshot.count, 2u);
    EXPECT_EQ(snapshot.sum_nanos, 2 * bound + 1);
  }
}

TEST(HistogramTest, ExtremesHaveAPlace) {
  Histogram histogram;
  histogram.Observe(-5);
  histogram.Observe(0);
  histogram.Observe(int64_t{1} << 60);
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.cumulative[0], 2u);
  EXPECT_EQ(snapshot.cumulative.back(), 2u);
  EXPECT_EQ(snapshot.count, 3u);
  EXPECT_EQ(snapshot.sum_nanos, int64_t{1} << 60);
}

TEST(HistogramTest, CountsOfEndedThreadsStayAndPlacesAreReused) {
  Histogram histogram;
  for (int k = 0; k < 3 * kExclusiveSlots; ++k) {
    std::thread([&] { histogram.Observe(1000); }).join();
  }
  EXPECT_EQ(histogram.Snapshot().count, 3u * kExclusiveSlots);
}

TEST(HistogramTest, NothingIsLostAmongMoreThreadsThanPlaces) {
  constexpr int kThreads = kExclusiveSlots + 16, kEach = 2000;
  Histogram histogram;
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      histogram.Observe(0);
      ++started;
      while (started < kThreads) std::this_thread::yield();  // all of them hold a place
      for (int k = 1; k < kEach; ++k) histogram.Observe(k * 1000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const HistogramSnapshot snapshot = histogram.Snapshot();
  EXPECT_EQ(snapshot.count, uint64_t{kThreads} * kEach);
  EXPECT_EQ(snapshot.sum_nanos, int64_t{kThreads} * kEach * (kEach - 1) / 2 * 1000);
}

TEST(ThreadSlotTest, LivingThreadsDoNotShareTheirOwn) {
  constexpr int kThreads = kExclusiveSlots + 8;
  std::vector<int> slots(kThreads);
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      slots[static_cast<size_t>(t)] = ThreadSlot();
      ++started;
      while (started < kThreads) std::this_thread::yield();
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int> own;
  for (const int slot : slots) {
    if (slot == kExclusiveSlots) continue;
    EXPECT_TRUE(own.insert(slot).second) << slot;
  }
  EXPECT_GE(own.size(), static_cast<size_t>(kExclusiveSlots) - 1);  // this thread may have one
}

}  // namespace
}  // namespace mfn
