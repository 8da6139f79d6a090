// The table of codes, the single retry of AUTH, and Retry-After.
#include "server/resilience/retry_policy.h"

#include "gtest/gtest.h"
#include "server/base/fake_clock.h"

namespace mfn::resilience {
namespace {

TEST(RetryPolicyTest, WhichOutcomesAreRetried) {
  const RetryPolicy policy{RetryConfig()};
  const auto retried = [&](Outcome outcome, bool idempotent) {
    return policy.ShouldRetry(outcome, idempotent, {});
  };
  for (const Outcome outcome :
       {Outcome::kRetryable, Outcome::kThrottled, Outcome::kNotConnected, Outcome::kAuth}) {
    EXPECT_TRUE(retried(outcome, true));
    EXPECT_TRUE(retried(outcome, false));
  }
  for (const Outcome outcome : {Outcome::kOutcomeUnknown, Outcome::kDeadline}) {
    EXPECT_TRUE(retried(outcome, true));
    EXPECT_FALSE(retried(outcome, false));
  }
  for (const Outcome outcome : {Outcome::kOk, Outcome::kPermanent, Outcome::kCancelled}) {
    EXPECT_FALSE(retried(outcome, true));
  }
}

TEST(RetryPolicyTest, Bounds) {
  RetryConfig config;
  config.max_retries = 2;
  EXPECT_TRUE(RetryPolicy(config).ShouldRetry(Outcome::kRetryable, true, {1, false}));
  EXPECT_FALSE(RetryPolicy(config).ShouldRetry(Outcome::kRetryable, true, {2, false}));
  EXPECT_FALSE(RetryPolicy(config).ShouldRetry(Outcome::kAuth, true, {1, true}));
  config.backoff = BackoffKind::kNone;
  EXPECT_FALSE(RetryPolicy(config).ShouldRetry(Outcome::kRetryable, true, {}));
}

TEST(RetryPolicyTest, RetryAfterIsNeverSoonerThanOwnBackoffAndCapped) {
  RetryConfig config;
  config.jitter = JitterKind::kNone;
  config.initial_delay = absl::Seconds(3);
  FakeRandom random({0});
  const auto wait = [&](absl::Duration asked) {
    return RetryPolicy(config).Wait({Outcome::kThrottled, asked}, 0, &random);
  };
  EXPECT_EQ(wait(absl::Seconds(1)), absl::Seconds(3));
  EXPECT_EQ(wait(absl::Seconds(20)), absl::Seconds(20));
  EXPECT_EQ(wait(absl::Hours(24)), absl::Minutes(5));
  EXPECT_EQ(wait(-absl::InfiniteDuration()), absl::Seconds(3));
  config.max_delay = absl::Minutes(30);
  EXPECT_EQ(wait(absl::Hours(24)), absl::Minutes(30));
}

}  // namespace
}  // namespace mfn::resilience
