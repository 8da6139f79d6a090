// The pieces that the guard composes: retry budget, rate limit, bulkhead, call window.
#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/base/fake_clock.h"
#include "server/resilience/bulkhead.h"
#include "server/resilience/call_window.h"
#include "server/resilience/rate_limit.h"
#include "server/resilience/retry_budget.h"

namespace mfn::resilience {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(RetryBudgetTest, CostsAndBounds) {
  RetryBudget budget(500);
  EXPECT_EQ(budget.Cost(Outcome::kRetryable), 5);
  EXPECT_EQ(budget.Cost(Outcome::kDeadline), 10);
  budget.Give(1);
  EXPECT_EQ(budget.tokens(), 500) << "never above the capacity";
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(budget.Take(5));
  EXPECT_FALSE(budget.Take(5));
  EXPECT_EQ(budget.tokens(), 0) << "a refusal takes nothing";
  for (int i = 0; i < 4; ++i) budget.Give(1);
  EXPECT_FALSE(budget.Take(5));
  budget.Give(1);
  EXPECT_TRUE(budget.Take(5));
  budget.Refill();
  EXPECT_EQ(budget.tokens(), 500);
}

TEST(RetryBudgetTest, NoCapacityIsNoLimit) {
  RetryBudget budget(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(budget.Take(budget.Cost(Outcome::kDeadline)));
}

TEST(RetryBudgetTest, ThreadsNeitherLoseNorMakeTokens) {
  RetryBudget budget(500);
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) taken += budget.Take(5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken.load(), 100);
  EXPECT_EQ(budget.tokens(), 0);
}

TEST(RateLimitTest, ABurstThenTheRate) {
  RateLimit limit({10, 3});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.Take(kSecond, kSecond), 0);
  EXPECT_EQ(limit.Take(kSecond, kSecond), kSecond / 10);
  EXPECT_EQ(limit.Take(kSecond, kSecond), 2 * kSecond / 10) << "each waits for its own token";
  EXPECT_GE(limit.Take(kSecond, kSecond / 5), kSecond / 5);
  EXPECT_EQ(limit.Take(kSecond, kSecond), 3 * kSecond / 10) << "the impatient one took nothing";
  EXPECT_EQ(limit.Take(100 * kSecond, kSecond), 0);
  EXPECT_EQ(limit.Take(100 * kSecond, kSecond), 0);
  EXPECT_EQ(limit.Take(100 * kSecond, kSecond), 0);
  EXPECT_GT(limit.Take(100 * kSecond, kSecond), 0) << "a rest saves up a burst and no more";
}

TEST(RateLimitTest, NoRateIsNoLimit) {
  RateLimit limit({});
  EXPECT_FALSE(limit.enabled());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(limit.Take(kSecond, 1), 0);
}

TEST(BulkheadTest, WaitsForAPlaceTurnsAwayTheLateAndTheCancelled) {
  FakeClock clock;
  const Cancellation never;
  Bulkhead bulkhead(1, &clock);
  EXPECT_TRUE(bulkhead.Enter(INT64_MAX, never));
  EXPECT_FALSE(bulkhead.Enter(clock.MonotonicNanos(), never));
  CancellationSource source;
  source.Cancel();
  EXPECT_FALSE(bulkhead.Enter(INT64_MAX, source.token()));
  bool entered = false;
  std::thread waiter([&] { entered = bulkhead.Enter(INT64_MAX, never); });
  bulkhead.Leave();
  waiter.join();
  EXPECT_TRUE(entered);
  bulkhead.Close();
  EXPECT_FALSE(bulkhead.Enter(INT64_MAX, never));
}

TEST(CallWindowTest, ForgetsWhatIsOldAndWhatBelongsToAnotherGeneration) {
  CallWindow window(30 * kSecond);
  const int64_t start = 1000 * kSecond;
  for (int i = 0; i < 5; ++i) window.Add(7, i < 2, start);
  EXPECT_EQ(window.Sum(7, start).calls, 5u);
  EXPECT_EQ(window.Sum(7, start).failures, 2u);
  EXPECT_EQ(window.Sum(8, start).calls, 0u);
  EXPECT_EQ(window.Sum(7, start + 25 * kSecond).calls, 5u);
  EXPECT_EQ(window.Sum(7, start + 35 * kSecond).calls, 0u);
  window.Add(8, true, start);
  EXPECT_EQ(window.Sum(8, start).calls, 1u);
  EXPECT_EQ(window.Sum(8, start).failures, 1u);
}

TEST(CallWindowTest, EveryWindowKeepsAllOfItAndAnEighthMoreAtMost) {
  for (const int64_t seconds : {1, 2, 3, 7, 30, 60, 1000, 3600}) {
    CallWindow window(seconds * kSecond);
    const int64_t start = 100'000 * kSecond;
    window.Add(1, true, start);
    EXPECT_EQ(window.Sum(1, start + seconds * kSecond * 7 / 8).calls, 1u) << seconds;
    EXPECT_EQ(window.Sum(1, start + seconds * kSecond * 9 / 8 + kSecond).calls, 0u) << seconds;
  }
}

TEST(CallWindowTest, AddsUpAllThreads) {
  CallWindow window(30 * kSecond);
  std::vector<std::thread> threads;
  for (int t = 0; t < 80; ++t) {  // more than have cells of their own
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) window.Add(1, i % 4 == 0, kSecond);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(window.Sum(1, kSecond).calls, 8000u);
  EXPECT_EQ(window.Sum(1, kSecond).failures, 2000u);
}

}  // namespace
}  // namespace mfn::resilience
