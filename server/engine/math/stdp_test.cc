// STDP: golden vectors, the shape of the rule, and what is refused.

#include "server/engine/math/stdp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

StdpParams GoldenParams(const Json& c) {
  StdpParams params;
  Override(c, "tau_plus", params.tau_plus);
  Override(c, "tau_minus", params.tau_minus);
  Override(c, "a_plus", params.a_plus);
  Override(c, "a_minus", params.a_minus);
  return params;
}

TEST(Stdp, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("stdp")) {
    SCOPED_TRACE(c.dump());
    const std::vector<double> pre = ToDoubles(c.at("pre_times"));
    const std::vector<double> post = ToDoubles(c.at("post_times"));
    const size_t batch = c.at("pre_times").size();
    const StdpSpikes spikes{pre, post, batch, pre.size() / batch, post.size() / batch};
    const auto change = StdpWeightChange(GoldenParams(c.at("params")), spikes);
    ASSERT_TRUE(change.ok());
    ExpectNear(*change, ToDoubles(c.at("delta_w_float64")), 0.0, 1e-12);
    ExpectNear(*change, ToDoubles(c.at("delta_w_float32")), 1e-7, 1e-4);
  }
}

TEST(Stdp, MatchesGoldenErrors) {
  for (const Json& c : GoldenErrors("stdp_config")) {
    SCOPED_TRACE(c.dump());
    EXPECT_EQ(ErrorClass(ValidateStdpParams(GoldenParams(c.at("config")))),
              c.at("result").get<std::string>());
  }
}

TEST(Stdp, FarApartSpikesKeepTheClampedTail) {
  const StdpParams params;
  EXPECT_EQ(StdpPairChange(params, 1e6), 0.01 * std::exp(-50.0));
  EXPECT_EQ(StdpPairChange(params, -1e6), -0.012 * std::exp(-50.0));
  EXPECT_EQ(StdpPairChange(params, 0.0), 0.0);
}

TEST(Stdp, RefusesWrongShapes) {
  const std::vector<double> times = {0.0, 0.01, 0.02, 0.03};
  const auto field = [&times](size_t batch, size_t n_pre, size_t n_post) {
    const auto result = StdpWeightChange({}, {times, times, batch, n_pre, n_post});
    return result.ok() ? "ok" : result.error().field;
  };
  EXPECT_EQ(field(2, 2, 2), "ok");
  EXPECT_EQ(field(0, 2, 2), "pre_times");
  EXPECT_EQ(field(2, 3, 2), "pre_times");
  EXPECT_EQ(field(2, 2, 1), "post_times");
  EXPECT_EQ(field(4, 1, 0), "post_times");
}

TEST(Stdp, RefusesNonFiniteTimes) {
  const std::vector<double> good = {0.0};
  const std::vector<double> bad = {std::numeric_limits<double>::quiet_NaN()};
  EXPECT_EQ(StdpWeightChange({}, {bad, good, 1, 1, 1}).error().field, "pre_times");
  EXPECT_EQ(StdpWeightChange({}, {good, bad, 1, 1, 1}).error().field, "post_times");
}

TEST(Stdp, BoundsTheResult) {
  const std::vector<double> wide(kMaxStdpWeights / 1024 + 1, 0.0);
  const std::vector<double> narrow(1024, 0.0);
  const auto result = StdpWeightChange({}, {wide, narrow, 1, wide.size(), narrow.size()});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kResourceExhausted);
}

TEST(Stdp, EndsWhenCancelledBetweenTwoTimes) {
  const std::vector<double> times(4, 0.5);
  StdpSpikes spikes;
  spikes.pre = spikes.post = times;
  spikes.batch = 2;
  spikes.n_pre = spikes.n_post = 2;
  int polls = 0;
  const auto change = StdpWeightChange({}, spikes, [&polls] { return ++polls == 3; });
  ASSERT_FALSE(change.ok());
  EXPECT_EQ(change.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(polls, 3);
}

}  // namespace
}  // namespace mfn::engine
