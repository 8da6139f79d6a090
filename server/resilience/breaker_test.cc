// Each transition, stale results, and probes under concurrency.
#include "server/resilience/breaker.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/base/fake_clock.h"

namespace mfn::resilience {
namespace {

using Effect = Breaker::Effect;
using State = Breaker::State;
constexpr int64_t kSecond = 1'000'000'000;

class BreakerTest : public testing::Test {
 protected:
  BreakerTest() {
    config_.threshold = 3;
    config_.timeout = absl::Seconds(10);
  }
  Breaker& breaker() {
    if (breaker_ == nullptr) breaker_ = std::make_unique<Breaker>(config_, &random_);
    return *breaker_;
  }
  void Call(Effect effect) { breaker().Record(breaker().Acquire(now_).generation, effect, now_); }
  void Open() {
    for (int i = 0; i < config_.threshold; ++i) Call(Effect::kFailure);
    ASSERT_EQ(breaker().state(), State::kOpen);
  }

  BreakerConfig config_;
  FakeRandom random_{{0.0}};
  std::unique_ptr<Breaker> breaker_;
  int64_t now_ = 100 * kSecond;
};

TEST_F(BreakerTest, ConsecutiveFailuresOpenAndASuccessBetweenStartsAgain) {
  Call(Effect::kFailure);
  Call(Effect::kFailure);
  Call(Effect::kSuccess);
  Call(Effect::kFailure);
  Call(Effect::kNeutral);
  Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kClosed);
  Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kOpen);
  const Breaker::Permit permit = breaker().Acquire(now_);
  EXPECT_FALSE(permit.admitted);
  EXPECT_EQ(permit.wait, absl::Seconds(10));
}

TEST_F(BreakerTest, AFailureRatioOpensOnceThereAreEnoughCallsInTheWindow) {
  config_.threshold = 1000;
  for (int i = 0; i < 4; ++i) Call(Effect::kSuccess), Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kClosed) << "8 calls are too few";
  now_ += 40 * kSecond;
  Call(Effect::kSuccess);
  Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kClosed) << "the first 8 have left the window";
  for (int i = 0; i < 4; ++i) Call(Effect::kSuccess), Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kOpen);
}

TEST_F(BreakerTest, HalfOpenAdmitsOneProbeAndClosesOnItsSuccess) {
  Open();
  now_ += 10 * kSecond;
  EXPECT_TRUE(breaker().Peek(now_).admitted);
  EXPECT_TRUE(breaker().Peek(now_).admitted) << "a peek takes nothing";
  const Breaker::Permit probe = breaker().Acquire(now_);
  EXPECT_TRUE(probe.admitted);
  EXPECT_FALSE(breaker().Acquire(now_).admitted);
  EXPECT_FALSE(breaker().Peek(now_).admitted);
  breaker().Record(probe.generation, Effect::kSuccess, now_);
  EXPECT_EQ(breaker().state(), State::kClosed);
}

TEST_F(BreakerTest, SeveralSuccessesMayBeNeededAndANeutralProbeOnlyFreesThePlace) {
  config_.successes_to_close = 2;
  Open();
  now_ += 10 * kSecond;
  Call(Effect::kSuccess);
  Call(Effect::kNeutral);
  EXPECT_EQ(breaker().state(), State::kHalfOpen);
  Call(Effect::kSuccess);
  EXPECT_EQ(breaker().state(), State::kClosed);
}

TEST_F(BreakerTest, EachFailedProbeDoublesTheTimeAndASuccessForgetsThat) {
  Open();
  now_ += 10 * kSecond;
  Call(Effect::kFailure);
  EXPECT_EQ(breaker().Peek(now_).wait, absl::Seconds(20));
  now_ += 20 * kSecond;
  Call(Effect::kFailure);
  EXPECT_EQ(breaker().Peek(now_).wait, absl::Seconds(40));
  now_ += 40 * kSecond;
  Call(Effect::kSuccess);
  Open();
  EXPECT_EQ(breaker().Peek(now_).wait, absl::Seconds(10));
  EXPECT_EQ(breaker().opened(), 4u);
}

TEST_F(BreakerTest, ResultsOfAnEarlierGenerationAreIgnored) {
  const Breaker::Permit old = breaker().Acquire(now_);
  Open();
  breaker().Record(old.generation, Effect::kSuccess, now_);
  EXPECT_EQ(breaker().state(), State::kOpen);
  now_ += 10 * kSecond;
  const Breaker::Permit probe = breaker().Acquire(now_);
  breaker().Record(old.generation, Effect::kFailure, now_);
  EXPECT_EQ(breaker().state(), State::kHalfOpen);
  EXPECT_FALSE(breaker().Acquire(now_).admitted) << "the stale result freed the probe's place";
  breaker().Record(probe.generation, Effect::kSuccess, now_);
  for (int i = 0; i < 10; ++i) breaker().Record(old.generation, Effect::kFailure, now_);
  EXPECT_EQ(breaker().state(), State::kClosed);
}

TEST_F(BreakerTest, AProbeThatDoesNotComeBackOpensAgain) {
  Open();
  now_ += 10 * kSecond;
  const Breaker::Permit lost = breaker().Acquire(now_);
  now_ += 10 * kSecond;
  EXPECT_FALSE(breaker().Acquire(now_).admitted);
  EXPECT_EQ(breaker().state(), State::kOpen);
  breaker().Record(lost.generation, Effect::kSuccess, now_);
  EXPECT_EQ(breaker().state(), State::kOpen);
}

TEST_F(BreakerTest, APauseRejectsUntilItEndsAndDoesNotCount) {
  Call(Effect::kFailure);
  Call(Effect::kFailure);
  breaker().RecordPause(breaker().Acquire(now_).generation, absl::Seconds(5), now_);
  EXPECT_EQ(breaker().Peek(now_).wait, absl::Seconds(5));
  EXPECT_EQ(breaker().opened(), 0u);
  now_ += 5 * kSecond;
  EXPECT_TRUE(breaker().Acquire(now_).admitted);
  Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kOpen) << "failures before the pause still count";
}

TEST_F(BreakerTest, TripOpensAtOnce) {
  Call(Effect::kTrip);
  EXPECT_EQ(breaker().state(), State::kOpen);
}

TEST_F(BreakerTest, DoublingStopsAtItsCap) {
  config_.max_timeout = absl::Seconds(30);
  Open();
  for (const int seconds : {10, 20, 30, 30}) {
    EXPECT_EQ(breaker().Peek(now_).wait, absl::Seconds(seconds));
    now_ += seconds * kSecond;
    Call(Effect::kFailure);
  }
}

TEST_F(BreakerTest, ASlowProbeMayTakeTheTimeThatItsCallHas) {
  Open();
  now_ += 10 * kSecond;
  const Breaker::Permit probe = breaker().Acquire(now_, 25 * kSecond);
  now_ += 24 * kSecond;
  EXPECT_FALSE(breaker().Acquire(now_).admitted);
  EXPECT_EQ(breaker().state(), State::kHalfOpen) << "the probe is not lost yet";
  breaker().Record(probe.generation, Effect::kSuccess, now_);
  EXPECT_EQ(breaker().state(), State::kClosed);
}

TEST_F(BreakerTest, ForcedOpenLetsNothingThroughUntilReset) {
  const Breaker::Permit running = breaker().Acquire(now_);
  breaker().ForceOpen();
  now_ += 3600 * kSecond;
  EXPECT_FALSE(breaker().Peek(now_).admitted);
  EXPECT_EQ(breaker().Acquire(now_).state, State::kForcedOpen);
  breaker().Record(running.generation, Effect::kSuccess, now_);
  EXPECT_EQ(breaker().state(), State::kForcedOpen);
  breaker().Reset();
  EXPECT_EQ(breaker().state(), State::kClosed);
  EXPECT_TRUE(breaker().Acquire(now_).admitted);
  EXPECT_EQ(breaker().opened(), 0u);
}

TEST_F(BreakerTest, DisabledCountsNothingAndEndsWithReset) {
  Open();
  breaker().Disable();
  for (int i = 0; i < 20; ++i) Call(Effect::kFailure);
  breaker().RecordPause(breaker().Acquire(now_).generation, absl::Seconds(5), now_);
  Call(Effect::kTrip);
  EXPECT_EQ(breaker().state(), State::kDisabled);
  EXPECT_TRUE(breaker().Acquire(now_).admitted);
  const Breaker::Permit running = breaker().Acquire(now_);
  breaker().Reset();
  for (int i = 0; i < 20; ++i) breaker().Record(running.generation, Effect::kFailure, now_);
  EXPECT_EQ(breaker().state(), State::kClosed) << "what began while disabled does not count";
  Open();
  EXPECT_EQ(breaker().Peek(now_).wait, absl::Seconds(10)) << "reset forgets earlier openings";
}

TEST_F(BreakerTest, ResetIsAsConfigured) {
  config_.enabled = false;
  for (int i = 0; i < 20; ++i) Call(Effect::kFailure);
  EXPECT_EQ(breaker().state(), State::kDisabled);
  breaker().ForceOpen();
  EXPECT_FALSE(breaker().Acquire(now_).admitted);
  breaker().Reset();
  EXPECT_EQ(breaker().state(), State::kDisabled);
}

TEST_F(BreakerTest, AtMostOneProbeAtATimeAmongManyThreads) {
  config_.successes_to_close = 1000000;
  Open();
  now_ += 10 * kSecond;
  std::atomic<int> probing{0}, probes{0}, worst{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        const Breaker::Permit permit = breaker().Acquire(now_);
        if (!permit.admitted) continue;
        const int now_probing = ++probing;
        if (now_probing > worst.load()) worst = now_probing;
        ++probes;
        --probing;
        breaker().Record(permit.generation, Effect::kSuccess, now_);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(worst.load(), 1);
  EXPECT_GT(probes.load(), 0);
}

}  // namespace
}  // namespace mfn::resilience
