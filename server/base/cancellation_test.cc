// Cancellation across threads: waiters wake, callbacks run once, children follow their parents.
#include "server/base/cancellation.h"

#include <atomic>
#include <optional>
#include <thread>

#include "gtest/gtest.h"

namespace mfn {
namespace {

TEST(Cancellation, WithoutASourceNeverFires) {
  Cancellation never;
  EXPECT_FALSE(never.cancelled());
  EXPECT_FALSE(never.WaitFor(absl::Milliseconds(1)));
  EXPECT_EQ(never.Subscribe([] { FAIL(); }), 0u);
}

TEST(Cancellation, WakesAWaiterOnAnotherThread) {
  CancellationSource source;
  std::thread waiter(
      [token = source.token()] { EXPECT_TRUE(token.WaitFor(absl::InfiniteDuration())); });
  source.Cancel();
  waiter.join();
  EXPECT_TRUE(source.token().cancelled());
}

TEST(Cancellation, CallsEachCallbackOnce) {
  CancellationSource source;
  int first = 0, second = 0, late = 0;
  source.token().Subscribe([&] { ++first; });
  const uint64_t id = source.token().Subscribe([&] { ++second; });
  source.token().Unsubscribe(id);
  source.Cancel();
  source.Cancel();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
  EXPECT_EQ(source.token().Subscribe([&] { ++late; }), 0u);
  EXPECT_EQ(late, 1);
}

TEST(Cancellation, ACallbackMayUnsubscribeItself) {
  CancellationSource source;
  const Cancellation token = source.token();
  uint64_t id = 0;
  id = token.Subscribe([&] { token.Unsubscribe(id); });
  source.Cancel();
}

TEST(Cancellation, UnsubscribeWaitsForARunningCallback) {
  for (int round = 0; round < 200; ++round) {
    CancellationSource source;
    std::atomic<bool> alive{true};
    std::atomic<bool> touched_dead{false};
    const uint64_t id = source.token().Subscribe([&] {
      if (!alive) touched_dead = true;
    });
    std::thread canceller([&] { source.Cancel(); });
    source.token().Unsubscribe(id);
    alive = false;
    canceller.join();
    EXPECT_FALSE(touched_dead);
  }
}

TEST(Cancellation, AChildFollowsItsParentAndNotTheOtherWay) {
  CancellationSource parent;
  CancellationSource child(parent.token());
  CancellationSource other(parent.token());
  child.Cancel();
  EXPECT_FALSE(parent.token().cancelled());
  parent.Cancel();
  EXPECT_TRUE(other.token().cancelled());
  CancellationSource born_late(parent.token());
  EXPECT_TRUE(born_late.token().cancelled());
}

TEST(Cancellation, ATokenOutlivesItsSource) {
  std::optional<CancellationSource> source(std::in_place);
  const Cancellation token = source->token();
  source->Cancel();
  source.reset();
  EXPECT_TRUE(token.cancelled());
}

}  // namespace
}  // namespace mfn
