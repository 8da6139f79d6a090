// Every strategy and jitter, and the bounds that hold for any configuration.
#include "server/resilience/backoff.h"

#include <climits>
#include <random>

#include "gtest/gtest.h"
#include "server/base/fake_clock.h"

namespace mfn::resilience {
namespace {

RetryConfig Config(BackoffKind kind, JitterKind jitter) {
  RetryConfig config;
  config.backoff = kind;
  config.jitter = jitter;
  config.initial_delay = absl::Milliseconds(100);
  config.multiplier = 3;
  config.max_delay = absl::Seconds(2);
  return config;
}

absl::Duration Delay(const RetryConfig& config, int retry, double uniform) {
  FakeRandom random({uniform});
  return Backoff(config).Delay(retry, &random);
}

TEST(BackoffTest, Strategies) {
  const auto none = JitterKind::kNone;
  EXPECT_EQ(Delay(Config(BackoffKind::kExponential, none), 0, 0), absl::Milliseconds(100));
  EXPECT_EQ(Delay(Config(BackoffKind::kExponential, none), 2, 0), absl::Milliseconds(900));
  EXPECT_EQ(Delay(Config(BackoffKind::kExponential, none), 3, 0), absl::Seconds(2));
  EXPECT_EQ(Delay(Config(BackoffKind::kLinear, none), 0, 0), absl::Milliseconds(100));
  EXPECT_EQ(Delay(Config(BackoffKind::kLinear, none), 3, 0), absl::Milliseconds(400));
  EXPECT_EQ(Delay(Config(BackoffKind::kFixed, none), 9, 0), absl::Milliseconds(100));
  EXPECT_EQ(Delay(Config(BackoffKind::kImmediate, none), 9, 0), absl::ZeroDuration());
}

TEST(BackoffTest, Jitters) {
  const auto fixed = BackoffKind::kFixed;
  EXPECT_EQ(Delay(Config(fixed, JitterKind::kFull), 0, 0), absl::ZeroDuration());
  EXPECT_EQ(Delay(Config(fixed, JitterKind::kFull), 0, 0.5), absl::Milliseconds(50));
  EXPECT_EQ(Delay(Config(fixed, JitterKind::kEqual), 0, 0), absl::Milliseconds(50));
  EXPECT_EQ(Delay(Config(fixed, JitterKind::kEqual), 0, 0.5), absl::Milliseconds(75));
  EXPECT_EQ(Delay(Config(fixed, JitterKind::kQuarter), 0, 0), absl::Milliseconds(75));
  EXPECT_EQ(Delay(Config(fixed, JitterKind::kQuarter), 0, 0.5), absl::Milliseconds(100));
}

TEST(BackoffTest, NoConfigurationOverflowsOrLeavesItsBounds) {
  std::mt19937 engine(1);
  for (const BackoffKind kind : {BackoffKind::kExponential, BackoffKind::kLinear}) {
    for (const int retry : {0, 1, 63, 64, 1000, INT_MAX}) {
      for (const double multiplier : {0.0, 1.0, 2.0, 1e300}) {
        for (const absl::Duration initial :
             {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Hours(1000000)}) {
          RetryConfig config = Config(kind, JitterKind::kQuarter);
          config.multiplier = multiplier;
          config.initial_delay = initial;
          const double uniform = std::uniform_real_distribution<>(0, 1)(engine);
          const absl::Duration delay = Delay(config, retry, uniform);
          EXPECT_GE(delay, absl::ZeroDuration());
          EXPECT_LE(delay, config.max_delay) << retry << " " << multiplier;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mfn::resilience
