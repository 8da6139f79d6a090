// How many live streams there are, who wakes them, and how they end together.
#include "server/rpc/live_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace mfn::rpc {
namespace {

class FakeStream final : public Woken {
 public:
  void Tick(int64_t now_ns) override { last_tick_ = now_ns; }
  void End(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    end_ = status;
    done_ = true;
  }
  bool done() const override { return done_; }
  void Finish() { done_ = true; }
  int64_t last_tick() const { return last_tick_; }
  absl::Status end() const {
    MutexLock lock(&mutex_);
    return end_;
  }

 private:
  std::atomic<int64_t> last_tick_{-1};
  std::atomic<bool> done_{false};
  mutable Mutex mutex_;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

bool Eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(LiveStreams, AreBoundedByKindAndAPlaceIsFreeOnceAStreamIsDone) {
  LiveStreams streams(Clock::Real());
  std::vector<std::shared_ptr<FakeStream>> all;
  for (int k = 0; k < 5; ++k) all.push_back(std::make_shared<FakeStream>());
  EXPECT_TRUE(streams.Add("Tap", 2, all[0]).ok());
  EXPECT_TRUE(streams.Add("Tap", 2, all[1]).ok());
  const absl::Status refused = streams.Add("Tap", 2, all[2]);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_TRUE(streams.Add("Watch", 2, all[3]).ok()) << "another kind has places of its own";
  all[0]->Finish();
  EXPECT_TRUE(streams.Add("Tap", 2, all[4]).ok());
  EXPECT_EQ(all[2].use_count(), 1) << "one that was refused is not kept";
  EXPECT_EQ(all[0].use_count(), 1) << "nor one that is done";
}

TEST(LiveStreams, AreWokenAgainAndAgainUntilTheyAreDone) {
  LiveStreams streams(Clock::Real());
  const auto one = std::make_shared<FakeStream>(), other = std::make_shared<FakeStream>();
  ASSERT_TRUE(streams.Add("Tap", 9, one).ok());
  ASSERT_TRUE(streams.Add("Tap", 9, other).ok());
  ASSERT_TRUE(Eventually([&] { return one->last_tick() > 0 && other->last_tick() > 0; }));
  one->Finish();
  // It is let go of with the next waking at the latest.
  ASSERT_TRUE(Eventually([&] { return one.use_count() == 1; }));
  const int64_t before = other->last_tick();
  EXPECT_TRUE(Eventually([&] { return other->last_tick() > before; }));
}

TEST(LiveStreams, EndTogetherAndNoneBeginsAfterwards) {
  LiveStreams streams(Clock::Real());
  const auto one = std::make_shared<FakeStream>(), late = std::make_shared<FakeStream>();
  ASSERT_TRUE(streams.Add("Tap", 9, one).ok());
  streams.EndAll(absl::UnavailableError("the server stops"));
  EXPECT_EQ(one->end(), absl::UnavailableError("the server stops"));
  EXPECT_EQ(streams.Add("Tap", 9, late), absl::UnavailableError("the server stops"));
}

}  // namespace
}  // namespace mfn::rpc
