// Krum and the aggregation: golden vectors in both precisions, attacks, and what is refused.

#include "server/engine/math/krum.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

using Matrix = std::vector<std::vector<double>>;

std::vector<std::span<const double>> View(const Matrix& matrix) {
  return {matrix.begin(), matrix.end()};
}

Matrix DrawGradients(const Json& c) {
  Generator generator = GoldenGenerator(c);
  Matrix gradients(c.at("num_gradients").get<size_t>(),
                   std::vector<double>(c.at("dim").get<size_t>()));
  for (auto& gradient : gradients) generator.FillNormal(gradient, 0.0, 1.0);
  for (size_t i = 0; i < c.at("scaled_outliers").get<size_t>(); ++i) {
    for (double& value : gradients[i]) value *= 100.0;
  }
  for (auto& gradient : gradients) {
    for (double& value : gradient) value = static_cast<double>(static_cast<float>(value));
  }
  return gradients;
}

KrumParams GoldenParams(const Json& c) {
  KrumParams params;
  Override(c, "num_clusters", params.num_clusters);
  Override(c, "byzantine_fraction", params.byzantine_fraction);
  Override(c, "sample_fraction", params.sample_fraction);
  return params;
}

TEST(Krum, SelectsTheGoldenGradient) {
  for (const Json& c : GoldenMath("krum")) {
    SCOPED_TRACE(c.at("seed").dump());
    const Matrix gradients = DrawGradients(c);
    const Json& expected = c.at("krum_select_all");
    const auto index = KrumSelect(View(gradients), expected.at("num_byzantine").get<int64_t>());
    ASSERT_TRUE(index.ok());
    EXPECT_EQ(*index, expected.at("index").get<size_t>());
  }
}

TEST(Krum, AggregatesTheGoldenGradients) {
  for (const Json& c : GoldenMath("krum")) {
    SCOPED_TRACE(c.at("seed").dump());
    const Matrix gradients = DrawGradients(c);
    Generator generator(kKrumDefaultSeed);
    const auto result = AggregateGradients(GoldenParams(c), View(gradients), generator);
    ASSERT_TRUE(result.ok());
    ExpectSameBits(*result, ToDoubles(c.at("aggregate_float64")));

    Generator wire_generator(kKrumDefaultSeed);
    const auto wire = AggregateGradientsFloat32(GoldenParams(c), View(gradients), wire_generator);
    ASSERT_TRUE(wire.ok());
    ExpectSameBits(std::vector<double>(wire->begin(), wire->end()),
                   ToDoubles(c.at("aggregate_float32")));
    EXPECT_EQ(generator, wire_generator);
  }
}

TEST(Krum, MatchesGoldenErrors) {
  for (const Json& c : GoldenErrors("krum_config")) {
    SCOPED_TRACE(c.dump());
    EXPECT_EQ(ErrorClass(ValidateKrumParams(GoldenParams(c.at("config")))),
              c.at("result").get<std::string>());
  }
}

TEST(Krum, IgnoresAnOutlierAndTakesTheLowestIndexOnTies) {
  EXPECT_EQ(*KrumSelect(View({{1e6}, {1.0}, {1.1}, {0.9}, {1.05}}), 1), 4u);
  EXPECT_EQ(*KrumSelect(View({{5.0}, {1.0}, {1.0}, {1.0}, {1.0}}), 1), 1u);
  EXPECT_EQ(*KrumSelect(View({{3.0}}), 7), 0u);
  EXPECT_EQ(*KrumSelect(View({{3.0}, {4.0}}), 7), 0u);
}

TEST(Krum, RefusesOnePoisonedGradient) {
  for (const double poison :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const Matrix gradients = {{1.0, 2.0}, {1.0, poison}, {1.0, 2.0}};
    Generator generator(kKrumDefaultSeed);
    const auto result = AggregateGradients({}, View(gradients), generator);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kInvalidArgument);
    EXPECT_NE(result.error().message.find("gradient 1 value 1"), std::string::npos);
  }
}

TEST(Krum, RefusesWhatOverflowsOnTheWireOnly) {
  const Matrix gradients = {{1e39}, {1e39}};
  Generator generator(kKrumDefaultSeed);
  EXPECT_TRUE(AggregateGradients({}, View(gradients), generator).ok());
  EXPECT_FALSE(AggregateGradientsFloat32({}, View(gradients), generator).ok());
}

TEST(Krum, RefusesWrongShapes) {
  const auto message = [](const Matrix& gradients) {
    const auto result = KrumSelect(View(gradients), 1);
    return result.ok() ? "ok" : result.error().message;
  };
  EXPECT_NE(message({}).find("needs at least one"), std::string::npos);
  EXPECT_NE(message({{}}).find("gradient 0 is empty"), std::string::npos);
  EXPECT_NE(message({{1.0, 2.0}, {1.0}}).find("gradient 1 has 1 values"), std::string::npos);
  EXPECT_EQ(KrumSelect(View({{1.0}}), -1).error().field, "num_byzantine");
}

TEST(Krum, RefusesWorkBeyondTheLimit) {
  const std::vector<double> one = {1.0};
  const std::vector<std::span<const double>> many(kMaxKrumGradients, one);
  EXPECT_EQ(KrumSelect(many, 1).error().kind, ErrorKind::kResourceExhausted);
  const std::vector<std::span<const double>> more(kMaxKrumGradients + 1, one);
  EXPECT_EQ(KrumSelect(more, 1).error().kind, ErrorKind::kResourceExhausted);
}

TEST(Krum, RefusesASampleOfNothing) {
  const std::vector<double> one = {1.0};
  const std::vector<std::span<const double>> many(kKrumSamplingThreshold + 1, one);
  KrumParams params;
  params.sample_fraction = 1e-6;
  Generator generator(kKrumDefaultSeed);
  EXPECT_EQ(AggregateGradients(params, many, generator).error().field, "sample_fraction");
}

TEST(Krum, AggregationEndsWhenCancelledBetweenTwoGradients) {
  const std::vector<double> gradient = {1.0, 2.0};
  const std::vector<std::span<const double>> gradients(20, gradient);
  KrumParams params;
  params.num_clusters = 1;
  Generator generator{Seed(kKrumDefaultSeed)};
  int polls = 0;
  const auto joined =
      AggregateGradientsFloat32(params, gradients, generator, [&polls] { return ++polls == 7; });
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(polls, 7);
}

}  // namespace
}  // namespace mfn::engine
