// The composition: what is retried, what counts, and the promises that hold for every schedule.
#include "server/resilience/guarded_call.h"

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/fake_clock.h"

namespace mfn::resilience {
namespace {

using testing::ElementsAre;

class GuardedCallTest : public testing::Test {
 protected:
  GuardedCallTest() { retry_.jitter = JitterKind::kNone; }
  Guard& guard() {
    if (guard_ == nullptr) {
      guard_ = std::make_unique<Guard>(retry_, breaker_, &clock_, &clock_, &random_);
    }
    return *guard_;
  }
  CallOptions Within(absl::Duration duration) {
    CallOptions options;
    options.deadline_ns = clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(duration);
    return options;
  }
  // Answers with the outcomes in turn, then with kOk.
  CallResult Call(std::vector<Outcome> outcomes, const CallOptions& options = {},
                  absl::Duration retry_after = absl::ZeroDuration()) {
    size_t next = 0;
    return guard().Call(options, [&](const Attempt&) {
      return AttemptResult{next < outcomes.size() ? outcomes[next++] : Outcome::kOk, retry_after};
    });
  }

  RetryConfig retry_;
  BreakerConfig breaker_;
  FakeClock clock_;
  FakeRandom random_{{0.0}};
  std::unique_ptr<Guard> guard_;
};

TEST_F(GuardedCallTest, PassingFaultsAreRetriedWithBackoffUntilTheyPass) {
  const CallResult result = Call({Outcome::kRetryable, Outcome::kNotConnected});
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.attempts, 3);
  EXPECT_THAT(clock_.sleeps(), ElementsAre(absl::Milliseconds(100), absl::Milliseconds(200)));
  const CallMetrics metrics = guard().metrics();
  EXPECT_EQ(metrics.calls, 1u);
  EXPECT_EQ(metrics.attempts, 3u);
  EXPECT_EQ(metrics.retries, 2u);
  EXPECT_EQ(metrics.successes, 1u);
}

TEST_F(GuardedCallTest, RetriesEnd) {
  const CallResult result = Call(std::vector<Outcome>(10, Outcome::kRetryable));
  EXPECT_EQ(result.outcome, Outcome::kRetryable);
  EXPECT_EQ(result.attempts, 4);
  EXPECT_EQ(guard().metrics().failures, 1u);
}

TEST_F(GuardedCallTest, AnUnknownOutcomeIsRepeatedOnlyIfThatDoesNoHarm) {
  CallOptions options;
  options.idempotent = false;
  EXPECT_EQ(Call({Outcome::kOutcomeUnknown}, options).attempts, 1);
  EXPECT_EQ(Call({Outcome::kDeadline}, options).attempts, 1);
  EXPECT_EQ(Call({Outcome::kRetryable}, options).attempts, 2);
  options.idempotent = true;
  EXPECT_EQ(Call({Outcome::kOutcomeUnknown}, options).attempts, 2);
}

TEST_F(GuardedCallTest, AuthIsRetriedOnceThenOpensTheBreaker) {
  EXPECT_TRUE(Call({Outcome::kAuth}).ok());
  EXPECT_EQ(guard().breaker_opened(), 0u);
  const CallResult result = Call({Outcome::kAuth, Outcome::kAuth});
  EXPECT_EQ(result.outcome, Outcome::kAuth);
  EXPECT_EQ(result.attempts, 2);
  EXPECT_EQ(guard().breaker_state(), Breaker::State::kOpen);
}

TEST_F(GuardedCallTest, ARejectionMakesNoAttempt) {
  retry_.max_retries = 0;
  for (int i = 0; i < 5; ++i) Call({Outcome::kRetryable});
  const CallResult result = Call({});
  EXPECT_EQ(result.attempts, 0);
  EXPECT_EQ(result.rejection, Rejection::kBreakerOpen);
  EXPECT_EQ(result.retry_after, absl::Seconds(60));
  EXPECT_EQ(guard().metrics().attempts, 5u);
  EXPECT_EQ(guard().metrics().rejected, 1u);
}

TEST_F(GuardedCallTest, ABreakerThatOpensBetweenAttemptsEndsTheCallWithTheLastFailure) {
  breaker_.threshold = 2;
  const CallResult result = Call(std::vector<Outcome>(10, Outcome::kRetryable));
  EXPECT_EQ(result.outcome, Outcome::kRetryable);
  EXPECT_EQ(result.attempts, 2);
  EXPECT_EQ(result.rejection, Rejection::kBreakerOpen);
}

TEST_F(GuardedCallTest, PermanentAndCancelledSayNothingOfTheEndpoint) {
  for (int i = 0; i < 20; ++i) Call({i % 2 == 0 ? Outcome::kPermanent : Outcome::kCancelled});
  EXPECT_EQ(guard().breaker_state(), Breaker::State::kClosed);
}

TEST_F(GuardedCallTest, OthersWaitOutAPauseWithoutAnAttempt) {
  retry_.max_retries = 0;
  const CallResult throttled = Call({Outcome::kThrottled}, {}, absl::Seconds(20));
  EXPECT_EQ(throttled.retry_after, absl::Seconds(20));
  EXPECT_EQ(Call({}, Within(absl::Seconds(5))).rejection, Rejection::kBreakerOpen);
  const CallResult patient = Call({}, Within(absl::Seconds(60)));
  EXPECT_TRUE(patient.ok());
  EXPECT_EQ(patient.attempts, 1);
  EXPECT_THAT(clock_.sleeps(), ElementsAre(absl::Seconds(20)));
}

TEST_F(GuardedCallTest, AHealthCheckPassesAnOpenBreakerAndDoesNotMoveIt) {
  retry_.max_retries = 0;
  for (int i = 0; i < 5; ++i) Call({Outcome::kRetryable});
  CallOptions options;
  options.single_attempt = options.ignore_breaker = true;
  EXPECT_TRUE(Call({}, options).ok());
  EXPECT_EQ(guard().breaker_state(), Breaker::State::kOpen);
}

TEST_F(GuardedCallTest, CancellationEndsItBeforeAndBetweenAttempts) {
  CancellationSource source;
  CallOptions options;
  options.cancel = source.token();
  int attempts = 0;
  const CallResult between = guard().Call(options, [&](const Attempt&) {
    ++attempts;
    source.Cancel();
    return AttemptResult{Outcome::kRetryable, {}};
  });
  EXPECT_EQ(between.outcome, Outcome::kCancelled);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(Call({}, options).attempts, 0);
}

TEST_F(GuardedCallTest, StopLetsNothingStart) {
  guard().Stop();
  const CallResult result = Call({});
  EXPECT_EQ(result.outcome, Outcome::kCancelled);
  EXPECT_EQ(result.attempts, 0);
}

class CountingAdmission : public Admission {
 public:
  bool Enter(int64_t, const Cancellation&) override { return open && ++inside > 0; }
  void Leave() override { --inside; }
  bool open = true;
  int inside = 0;
};

TEST_F(GuardedCallTest, AdmissionIsHeldDuringAttemptsOnlyAndItsRefusalIsNoFailure) {
  CountingAdmission admission;
  CallOptions options;
  options.admission = &admission;
  guard().Call(options, [&](const Attempt& attempt) {
    EXPECT_EQ(admission.inside, 1);
    return AttemptResult{attempt.number < 3 ? Outcome::kRetryable : Outcome::kOk, {}};
  });
  EXPECT_EQ(admission.inside, 0);
  admission.open = false;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Call({}, options).rejection, Rejection::kNotAdmitted);
  }
  EXPECT_EQ(guard().breaker_state(), Breaker::State::kClosed);
}

TEST_F(GuardedCallTest, AttemptsEndWithTheirTimeoutOrTheCall) {
  CallOptions options = Within(absl::Seconds(8));
  options.attempt_timeout = absl::Seconds(5);
  const int64_t start = clock_.MonotonicNanos();
  std::vector<int64_t> deadlines;
  guard().Call(options, [&](const Attempt& attempt) {
    deadlines.push_back((attempt.deadline_ns - start) / 1'000'000);
    clock_.Advance(absl::Seconds(5));
    return AttemptResult{Outcome::kDeadline, {}};
  });
  EXPECT_THAT(deadlines, ElementsAre(5000, 8000));
}

// For random configurations, answers and durations: no attempt starts at or past the deadline, no
// more attempts than allowed, and the counters agree with what was seen.
TEST(GuardedCallPropertyTest, HoldsForRandomSchedules) {
  std::mt19937 engine(20261121);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(engine);
  };
  for (int round = 0; round < 3000; ++round) {
    FakeClock clock;
    FakeRandom random({std::uniform_real_distribution<>(0, 1)(engine)});
    RetryConfig retry;
    retry.max_retries = pick(0, 6);
    retry.backoff = static_cast<BackoffKind>(pick(0, 4));
    retry.jitter = static_cast<JitterKind>(pick(0, 3));
    retry.initial_delay = absl::Milliseconds(pick(0, 2000));
    BreakerConfig breaker;
    breaker.threshold = pick(1, 8);
    breaker.timeout = absl::Milliseconds(pick(1, 5000));
    breaker.enabled = pick(0, 9) > 0;
    Guard guard(retry, breaker, &clock, &clock, &random);
    uint64_t attempts = 0;
    for (int call = 0; call < 5; ++call) {
      CallOptions options;
      options.deadline_ns = clock.MonotonicNanos() + int64_t{1'000'000} * pick(0, 5000);
      const CallResult result = guard.Call(options, [&](const Attempt& attempt) {
        ++attempts;
        EXPECT_LT(clock.MonotonicNanos(), options.deadline_ns) << "round " << round;
        EXPECT_LE(attempt.deadline_ns, options.deadline_ns);
        clock.Advance(absl::Milliseconds(pick(0, 3000)));
        return AttemptResult{static_cast<Outcome>(pick(0, 8)), absl::Milliseconds(pick(-5, 4000))};
      });
      EXPECT_LE(result.attempts, retry.max_retries + 1);
      EXPECT_TRUE(result.attempts > 0 || !result.ok());
    }
    EXPECT_EQ(guard.metrics().attempts, attempts);
    EXPECT_EQ(guard.metrics().calls, guard.metrics().successes + guard.metrics().failures);
  }
}

TEST(GuardedCallConcurrencyTest, HalfOpenLetsOneCallThroughAtATime) {
  FakeClock clock;
  FakeRandom random({0.0});
  RetryConfig retry;
  retry.max_retries = 0;
  BreakerConfig breaker;
  breaker.threshold = 1;
  breaker.timeout = absl::Seconds(1);
  breaker.successes_to_close = 1000000;
  Guard guard(retry, breaker, &clock, &clock, &random);
  guard.Call({}, [](const Attempt&) { return AttemptResult{Outcome::kRetryable, {}}; });
  clock.Advance(absl::Seconds(2));
  std::atomic<int> inside{0}, worst{0}, made{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        guard.Call({}, [&](const Attempt&) {
          const int now = ++inside;
          if (now > worst.load()) worst = now;
          ++made;
          --inside;
          return AttemptResult{Outcome::kOk, {}};
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(worst.load(), 1);
  EXPECT_GT(made.load(), 0);
}

}  // namespace
}  // namespace mfn::resilience
