// The 18 features on explicit fields, and what happens at the edges.

#include "server/engine/features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "server/engine/golden_test_util.h"
#include "server/engine/rng.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

using nlohmann::json;

std::vector<double> RandomFrames(uint64_t seed, size_t count) {
  std::vector<double> values(count);
  Generator(seed).FillNormal(values, -0.06, 0.01);
  return values;
}

TEST(FeaturesTest, GoldenFields) {
  for (const json& c : GoldenCases("features.json")) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const std::vector<double> values = GoldenNumbers(c["values_v"]);
    const int64_t frames = c["shape"].size() == 3 ? c["shape"][0].get<int64_t>() : 1;
    const int64_t n = c["shape"].back();
    const auto features =
        ExtractFeatures(values, frames, n, ReadFeatureConfig(c["feature_config"]));
    ASSERT_TRUE(features.ok()) << features.error().message;
    double energy = 0.0;
    for (double v : values) energy = std::max(energy, v * v * 1e6 * static_cast<double>(n * n));
    ExpectFeatures(*features, c["expect"], energy);
  }
}

// Sides whose frames are parts of chunks, whole half chunks, or share no divisor with a chunk.
TEST(FeaturesTest, MeanAndLargestChangeAreThoseOfAllFramesInOneArray) {
  for (size_t n : {5, 16, 48, 64, 72, 128}) {
    const size_t cells = n * n;
    const size_t frames = std::max<size_t>(4, 20'000 / cells);
    const std::vector<double> v = RandomFrames(n, frames * cells);
    std::vector<double> changes;
    for (size_t k = cells; k < v.size(); ++k) {
      changes.push_back(std::fabs(v[k] * 1000.0 - v[k - cells] * 1000.0));
    }
    const auto features = ExtractFeatures(v, static_cast<int64_t>(frames), static_cast<int64_t>(n));
    ASSERT_TRUE(features.ok());
    EXPECT_EQ(features->dv_mean, Mean(changes)) << n;
    EXPECT_EQ(features->dv_max, *std::max_element(changes.begin(), changes.end())) << n;
  }
}

// Changes whose deviation lies just below and just above the threshold, the same in every cell of a
// group but not in every group, or in every group but not in every cell.
TEST(FeaturesTest, StabilityIsDecidedByTheExactDeviation) {
  for (size_t n : {64, 72}) {
    for (bool by_group : {false, true}) {
      for (double factor : {0.999, 1.001}) {
        std::vector<double> v;
        for (size_t t = 0; t < 12; ++t) {
          for (size_t k = 0; k < n * n; ++k) {
            const bool high = by_group ? (k / 128) % 2 == 0 : k % 2 == 0;
            v.push_back(-0.07 + static_cast<double>(t) * (high ? 1e-5 : 1e-5 + 2e-6 * factor));
          }
        }
        std::vector<double> change;
        for (size_t k = 0; k < n * n; ++k) {
          change.push_back(std::fabs(v[n * n + k] * 1000.0 - v[k] * 1000.0));
        }
        const auto features = ExtractFeatures(v, 12, static_cast<int64_t>(n));
        ASSERT_TRUE(features.ok());
        EXPECT_EQ(features->t_stable, Std(change) < 0.001 ? 1 : 12) << n << by_group << factor;
      }
    }
  }
}

TEST(FeaturesTest, EnergyTrendIsTheLeastSquaresSlope) {
  constexpr size_t kFrames = 50;
  std::vector<double> v;
  for (size_t t = 0; t < kFrames; ++t) v.insert(v.end(), 4, 1e-3 * std::sqrt(10.0 + 3.0 * t));
  const auto features = ExtractFeatures(v, kFrames, 2);
  ASSERT_TRUE(features.ok());
  EXPECT_NEAR(features->e_trend, 12.0, 1e-9);
}

TEST(FeaturesTest, MoreFramesMayFollowAResult) {
  const std::vector<double> v = RandomFrames(2, 20 * 64);
  auto accumulator = FeatureAccumulator::Create(8);
  ASSERT_TRUE(accumulator.ok());
  for (size_t t = 0; t < 20; ++t) {
    ASSERT_TRUE(accumulator->AddFrame(std::span(v).subspan(t * 64, 64)).ok());
    const auto streamed = accumulator->Finish(std::span(v).subspan(t * 64, 64));
    const auto whole = ExtractFeatures(std::span(v).first((t + 1) * 64), t + 1, 8);
    ASSERT_TRUE(streamed.ok() && whole.ok());
    EXPECT_EQ(streamed->ToArray(), whole->ToArray()) << t;
  }
}

TEST(FeaturesTest, ANaNCellShowsInTheFeaturesAndInTheWarnings) {
  std::vector<double> v = RandomFrames(3, 2 * 64);
  v[64 + 10] = std::nan("");
  const auto features = ExtractFeatures(v, 2, 8);
  ASSERT_TRUE(features.ok());
  EXPECT_TRUE(std::isnan(features->v_min));
  EXPECT_TRUE(std::isnan(features->v_max));
  EXPECT_TRUE(std::isnan(features->v_mean));
  EXPECT_TRUE(std::isnan(features->dv_max));
  EXPECT_EQ(features->v_skew, 0.0);
  EXPECT_TRUE(std::isfinite(features->d_box));
  const auto warnings = FeatureWarnings(*features);
  EXPECT_TRUE(std::find(warnings.begin(), warnings.end(), "V_mean is nan") != warnings.end());
}

TEST(FeaturesTest, RangeWarnings) {
  Features f;
  f.d_box = 1.0;
  EXPECT_TRUE(FeatureWarnings(f).empty());
  EXPECT_EQ(FeatureWarnings(f, /*strict=*/true).size(), 1u);
  f.d_box = 2.6;
  f.v_min = -100.5;
  f.v_max = 50.5;
  EXPECT_EQ(FeatureWarnings(f).size(), 3u);
}

TEST(FeaturesTest, RefusesWhatIsNoField) {
  const std::vector<double> v(64);
  EXPECT_FALSE(ExtractFeatures(v, 1, 7).ok());
  EXPECT_FALSE(ExtractFeatures(v, 2, 8).ok());
  EXPECT_FALSE(ExtractFeatures(v, 0, 8).ok());
  EXPECT_FALSE(ExtractFeatures(v, 1, 0).ok());
  EXPECT_FALSE(ExtractFeatures(v, 1, std::numeric_limits<int64_t>::max()).ok());
  auto accumulator = FeatureAccumulator::Create(8);
  ASSERT_TRUE(accumulator.ok());
  EXPECT_FALSE(accumulator->Finish(v).ok());
  EXPECT_EQ(accumulator->AddFrame(std::span(v).first(63)).error().field, "field");
  FeatureConfig config;
  config.connectivity = 6;
  EXPECT_EQ(FeatureAccumulator::Create(8, config).error().field, "connectivity");
}

TEST(FeaturesTest, ConveniencesAgreeWithTheFeatures) {
  const std::vector<double> v = RandomFrames(4, 32 * 32);
  FeatureConfig config;
  config.num_scales = 8;
  const auto features = ExtractFeatures(v, 1, 32, config);
  ASSERT_TRUE(features.ok());
  EXPECT_EQ(*FractalDimension(v, 32), features->d_box);
  EXPECT_FALSE(FractalDimension(v, 31).ok());
  const auto statistics = FieldStatisticsInMv(v);
  EXPECT_EQ(statistics->mean, features->v_mean);
  EXPECT_EQ(statistics->std, features->v_std);
  EXPECT_EQ(statistics->min, features->v_min);
  EXPECT_FALSE(FieldStatisticsInMv({}).ok());
}

TEST(FeaturesTest, NamesAndArrayShareOneOrder) {
  Features f;
  f.d_box = 1;
  f.t_stable = 2;
  f.cluster_size_std = 3;
  const auto values = f.ToArray();
  const auto of = [&values](std::string_view name) {
    const auto at = std::find(kFeatureNames.begin(), kFeatureNames.end(), name);
    return values[static_cast<size_t>(at - kFeatureNames.begin())];
  };
  EXPECT_EQ(of("D_box"), 1.0);
  EXPECT_EQ(of("T_stable"), 2.0);
  EXPECT_EQ(of("cluster_size_std"), 3.0);
}

}  // namespace
}  // namespace mfn::engine
