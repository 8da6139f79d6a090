// The thread tags, by who may enter beside whom; then all of them at once.
#include "server/registry/call_gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace mfn::registry {
namespace {

using Mode = CallGate::Mode;

class CallGateTest : public testing::Test {
 protected:
  // Without waiting: the deadline is past.
  bool Try(Mode mode) { return gate_.Enter(mode, 0, {}); }
  CallGate gate_{2, Clock::Real()};
};

TEST_F(CallGateTest, OneWorkerOneAckAndTwoInParallel) {
  EXPECT_TRUE(Try(Mode::kWorker));
  EXPECT_FALSE(Try(Mode::kWorker));
  EXPECT_TRUE(Try(Mode::kAck));
  EXPECT_FALSE(Try(Mode::kAck));
  EXPECT_TRUE(Try(Mode::kParallel));
  EXPECT_TRUE(Try(Mode::kParallel));
  EXPECT_FALSE(Try(Mode::kParallel));
  EXPECT_FALSE(Try(Mode::kExclusive));
  gate_.Leave(Mode::kWorker);
  EXPECT_TRUE(Try(Mode::kWorker));
}

TEST_F(CallGateTest, ExclusiveIsAloneButForAny) {
  EXPECT_TRUE(Try(Mode::kAny));
  EXPECT_TRUE(Try(Mode::kExclusive));
  for (const Mode mode : {Mode::kWorker, Mode::kAck, Mode::kParallel, Mode::kExclusive}) {
    EXPECT_FALSE(Try(mode));
  }
  EXPECT_TRUE(Try(Mode::kAny));
  gate_.Downgrade(Mode::kParallel);
  EXPECT_TRUE(Try(Mode::kParallel));
  EXPECT_FALSE(Try(Mode::kParallel));
}

TEST_F(CallGateTest, ClosedAdmitsNobodyAndWaitsForThoseInside) {
  EXPECT_TRUE(Try(Mode::kAny));
  gate_.Close();
  EXPECT_FALSE(Try(Mode::kAny));
  EXPECT_FALSE(gate_.WaitIdle(absl::Milliseconds(1)));
  gate_.Leave(Mode::kAny);
  EXPECT_TRUE(gate_.WaitIdle(absl::ZeroDuration()));
}

TEST_F(CallGateTest, AWaiterGivesUpWhenCancelled) {
  EXPECT_TRUE(Try(Mode::kExclusive));
  CancellationSource source;
  std::thread waiter([&] { EXPECT_FALSE(gate_.Enter(Mode::kWorker, INT64_MAX, source.token())); });
  source.Cancel();
  waiter.join();
}

TEST_F(CallGateTest, TheTagsHoldAmongManyThreads) {
  std::atomic<int> workers{0}, parallel{0}, exclusive{0};
  std::atomic<bool> broken{false};
  const auto run = [&](Mode mode, std::atomic<int>* count, int most) {
    for (int i = 0; i < 300; ++i) {
      if (!gate_.Enter(mode, INT64_MAX, {})) broken = true;
      const int inside = ++*count;
      const bool alone = mode == Mode::kExclusive;
      if (inside > most || (alone ? workers + parallel > 0 : exclusive > 0)) broken = true;
      --*count;
      gate_.Leave(mode);
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back(run, Mode::kWorker, &workers, 1);
    threads.emplace_back(run, Mode::kParallel, &parallel, 2);
    threads.emplace_back(run, Mode::kParallel, &parallel, 2);
    threads.emplace_back(run, Mode::kExclusive, &exclusive, 1);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(broken);
}

}  // namespace
}  // namespace mfn::registry
