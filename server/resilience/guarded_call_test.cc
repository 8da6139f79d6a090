// The composition: what is retried, what counts, and the promises that hold for every schedule.
#include "server/resilience/guarded_call.h"

#include <atomic>
#include <memory>
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
      guard_ = std::make_unique<Guard>(config_, &clock_, &clock_, &random_);
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

  GuardConfig config_;
  RetryConfig& retry_ = config_.retry;
  BreakerConfig& breaker_ = config_.breaker;
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
  options.single_attempt = options.health_check = true;
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
  options.attempt_timeout_ns = 5'000'000'000;
  const int64_t start = clock_.MonotonicNanos();
  std::vector<int64_t> deadlines;
  guard().Call(options, [&](const Attempt& attempt) {
    deadlines.push_back((attempt.deadline_ns - start) / 1'000'000);
    clock_.Advance(absl::Seconds(5));
    return AttemptResult{Outcome::kDeadline, {}};
  });
  EXPECT_THAT(deadlines, ElementsAre(5000, 8000));
}

TEST_F(GuardedCallTest, ASpentBudgetLeavesOneAttemptACall) {
  breaker_.enabled = false;
  retry_.max_retries = 1;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Call(std::vector<Outcome>(2, Outcome::kRetryable)).attempts, 2);
  }
  const CallResult result = Call({Outcome::kRetryable});
  EXPECT_EQ(result.attempts, 1);
  EXPECT_EQ(result.rejection, Rejection::kNoBudget);
  EXPECT_EQ(guard().metrics().budget, 0);
  EXPECT_EQ(guard().metrics().budget_exhausted, 1u);
  CallOptions options;
  options.free_retries = true;
  EXPECT_EQ(Call({Outcome::kRetryable}, options).attempts, 2) << "parked work is presented again";
  guard().Reset();
  EXPECT_EQ(guard().metrics().budget, 500);
}

TEST_F(GuardedCallTest, WhatARetryCostsAndWhatComesBack) {
  retry_.max_retries = 2;
  Call({Outcome::kRetryable});
  EXPECT_EQ(guard().metrics().budget, 500) << "it succeeded";
  Call({Outcome::kDeadline, Outcome::kRetryable});
  EXPECT_EQ(guard().metrics().budget, 490) << "of two only the last";
  Call({});
  EXPECT_EQ(guard().metrics().budget, 491);
  Call({Outcome::kPermanent});
  EXPECT_EQ(guard().metrics().budget, 491);
}

TEST_F(GuardedCallTest, ARetryThatIsNotMadeCostsNothing) {
  breaker_.threshold = 1;
  EXPECT_EQ(Call({Outcome::kRetryable}).rejection, Rejection::kBreakerOpen);
  EXPECT_EQ(Call({}).rejection, Rejection::kBreakerOpen);
  guard().DisableBreaker();
  CancellationSource source;
  CallOptions options;
  options.cancel = source.token();
  guard().Call(options, [&](const Attempt&) {
    source.Cancel();
    return AttemptResult{Outcome::kRetryable, {}};
  });
  EXPECT_EQ(Call({Outcome::kRetryable}, Within(absl::Milliseconds(100))).rejection,
            Rejection::kDeadline);
  EXPECT_EQ(guard().metrics().budget, 500);
}

TEST_F(GuardedCallTest, NobodySleepsTowardsABreakerThatOpensLater) {
  breaker_.threshold = 1;
  EXPECT_EQ(Call({Outcome::kRetryable}).attempts, 1);
  EXPECT_THAT(clock_.sleeps(), ElementsAre());
}

TEST_F(GuardedCallTest, TheRateLimitSpacesAttemptsAndRetriesToo) {
  config_.rate_limit = {10, 1};
  retry_.backoff = BackoffKind::kImmediate;
  const int64_t start = clock_.MonotonicNanos();
  EXPECT_EQ(Call({Outcome::kRetryable, Outcome::kRetryable}).attempts, 3);
  EXPECT_EQ(clock_.MonotonicNanos() - start, 200'000'000);
  const CallResult late = Call({}, Within(absl::Milliseconds(50)));
  EXPECT_EQ(late.rejection, Rejection::kRateLimited);
  EXPECT_EQ(late.attempts, 0);
  EXPECT_EQ(late.retry_after, absl::Milliseconds(100));
  EXPECT_EQ(guard().metrics().limited, 1u);
  EXPECT_EQ(guard().breaker_state(), Breaker::State::kClosed);
}

TEST_F(GuardedCallTest, AnOperatorStopsAndStartsAllCalls) {
  guard().ForceOpen();
  const CallResult result = Call({});
  EXPECT_EQ(result.rejection, Rejection::kForcedOpen);
  EXPECT_EQ(result.attempts, 0);
  guard().Reset();
  EXPECT_TRUE(Call({}).ok());
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
  Guard guard({retry, breaker, {}, 0}, &clock, &clock, &random);
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

TEST(GuardedCallConcurrencyTest, TheBulkheadBoundsWhatIsInside) {
  FakeClock clock;
  FakeRandom random({0.0});
  Guard guard({{}, {}, {}, 2}, &clock, &clock, &random);
  std::atomic<int> inside{0}, worst{0}, made{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        guard.Call({}, [&](const Attempt&) {
          const int now = ++inside;
          if (now > worst.load()) worst = now;
          // The first two wait for each other: two places are two.
          while (made.load() == 0 && inside.load() < 2) std::this_thread::yield();
          std::this_thread::yield();
          ++made;
          --inside;
          return AttemptResult();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(worst.load(), 2);
  EXPECT_EQ(made.load(), 400);
}

}  // namespace
}  // namespace mfn::resilience
