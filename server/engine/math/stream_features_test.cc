// The live frame: golden figures bit for bit, and its edges.

#include "server/engine/math/stream_features.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/engine/math/golden_test_util.h"
#include "server/engine/run.h"

namespace mfn::engine {
namespace {

TEST(StreamFeatures, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("stream_features")) {
    SCOPED_TRACE(c.dump());
    SimulationConfig config;
    Override(c, "grid_size", config.grid_size);
    Override(c, "steps", config.steps);
    Override(c, "quantum_jitter", config.quantum_jitter);
    config.seed = Seed::FromDecimal(c.at("seed").get<std::string>()).value();
    const auto run = RunSimulation(config);
    ASSERT_TRUE(run.ok());
    const auto features = ComputeStreamFeatures(run->field, config.grid_size);
    ASSERT_TRUE(features.ok());
    const auto values = features->ToArray();
    ASSERT_EQ(c.at("features").size(), values.size());
    for (size_t k = 0; k < values.size(); ++k) {
      const std::string name(kStreamFeatureNames[k]);
      EXPECT_EQ(values[k], ToDouble(c.at("features").at(name))) << name;
    }
  }
}

TEST(StreamFeatures, SmallGridsHaveNoDimensionOfTheirOwn) {
  const std::vector<double> three(9, -0.07);  // only the size 2 fits
  EXPECT_EQ(ComputeStreamFeatures(three, 3)->fractal_dimension, 1.0);
  const std::vector<double> four(16, -0.07);
  EXPECT_EQ(ComputeStreamFeatures(four, 4)->fractal_dimension, 2.0);
}

TEST(StreamFeatures, QuietFieldsAreHonestAboutTheDimension) {
  std::vector<double> field(16, 0.0);
  EXPECT_TRUE(std::isnan(ComputeStreamFeatures(field, 4)->fractal_dimension));
  field[0] = -0.02;
  const auto one = ComputeStreamFeatures(field, 4);
  EXPECT_EQ(one->fractal_dimension, 0.0);
  EXPECT_EQ(one->active_nodes, 1.0);
  EXPECT_EQ(one->activity_ratio, 1.0 / 16.0);
}

TEST(StreamFeatures, RefusesWrongSizes) {
  const std::vector<double> field(16, 0.0);
  EXPECT_EQ(ComputeStreamFeatures(field, 1).error().field, "grid_size");
  EXPECT_EQ(ComputeStreamFeatures(field, 5).error().field, "field");
  EXPECT_EQ(ComputeStreamFeatures(field, int64_t{1} << 40).error().kind,
            ErrorKind::kResourceExhausted);
}

}  // namespace
}  // namespace mfn::engine
