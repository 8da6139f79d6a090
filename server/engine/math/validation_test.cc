// The validation cycle: golden figures and data set, training that learns, and what is refused.

#include "server/engine/math/validation.h"

#include <gtest/gtest.h>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

ValidationConfig GoldenConfig(const Json& c) {
  ValidationConfig config;
  config.seed = Seed(c.at("seed").get<uint64_t>());
  Override(c, "epochs", config.epochs);
  Override(c, "batch_size", config.batch_size);
  Override(c, "grid_size", config.grid_size);
  Override(c, "steps", config.steps);
  Override(c, "turing_enabled", config.turing_enabled);
  Override(c, "quantum_jitter", config.quantum_jitter);
  return config;
}

TEST(Validation, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("validate")) {
    SCOPED_TRACE(c.at("config").dump());
    const auto result = RunValidation(GoldenConfig(c.at("config")));
    ASSERT_TRUE(result.ok());
    const Json& expected = c.at("exact");
    const auto golden = [&expected](const char* name) { return ToDouble(expected.at(name)); };
    EXPECT_EQ(result->pot_min_mv, golden("pot_min_mV"));
    EXPECT_EQ(result->pot_max_mv, golden("pot_max_mV"));
    EXPECT_NEAR(result->example_fractal_dim, golden("example_fractal_dim"), 1e-9);
    EXPECT_EQ(result->lyapunov_exponent, golden("lyapunov_exponent"));
    EXPECT_EQ(result->lyapunov_mean, golden("lyapunov_mean"));
    EXPECT_EQ(result->growth_events, golden("growth_events"));
    EXPECT_EQ(result->nernst_numeric_mv, golden("nernst_numeric_mV"));
    EXPECT_NEAR(result->nernst_symbolic_mv, golden("nernst_symbolic_mV"), 89.0 * 1e-14);
    EXPECT_EQ(result->nernst_rtfz_mv, golden("nernst_rtfz_mV"));
  }
}

TEST(Validation, MakesTheGoldenDataset) {
  for (const Json& c : GoldenMath("validate")) {
    SCOPED_TRACE(c.at("config").dump());
    const auto result = RunValidation(GoldenConfig(c.at("config")));
    ASSERT_TRUE(result.ok());
    std::vector<double> x;
    for (const auto& row : result->dataset_x) x.insert(x.end(), row.begin(), row.end());
    // The dimension carries the solver's last bits; everything else is exact.
    ExpectNear(x, ToDoubles(c.at("dataset_x_float32")), 0.0, 2e-7);
    const std::vector<double> y(result->dataset_y.begin(), result->dataset_y.end());
    ExpectNear(y, ToDoubles(c.at("dataset_y_float32")), 0.0, 1e-6);
  }
}

TEST(Validation, LossesAreRepeatableAndTrainingLearns) {
  ValidationConfig config;
  config.grid_size = 16;
  config.steps = 8;
  config.epochs = 60;
  const auto once = RunValidation(config);
  const auto again = RunValidation(config);
  ASSERT_TRUE(once.ok());
  EXPECT_EQ(once->loss_start, again->loss_start);
  EXPECT_EQ(once->loss_final, again->loss_final);
  EXPECT_EQ(once->loss_drop, once->loss_start - once->loss_final);
  EXPECT_GT(once->loss_start, 0.0);
  EXPECT_LT(once->loss_final, once->loss_start / 10.0);
}

TEST(Validation, EpochsDoNotChangeTheExample) {
  ValidationConfig config;
  config.grid_size = 16;
  config.steps = 8;
  const auto one = RunValidation(config);
  config.epochs = 3;
  config.batch_size = 5;  // the last batch of an epoch has one sample
  const auto three = RunValidation(config);
  EXPECT_EQ(one->lyapunov_exponent, three->lyapunov_exponent);
  EXPECT_EQ(one->growth_events, three->growth_events);
}

TEST(Validation, RefusesOutOfRange) {
  const auto field = [](auto member, int64_t value) {
    ValidationConfig config;
    config.*member = value;
    const auto result = RunValidation(config);
    return result.ok() ? "ok" : result.error().field;
  };
  EXPECT_EQ(field(&ValidationConfig::epochs, 0), "epochs");
  EXPECT_EQ(field(&ValidationConfig::epochs, 101), "epochs");
  EXPECT_EQ(field(&ValidationConfig::batch_size, 65), "batch_size");
  EXPECT_EQ(field(&ValidationConfig::grid_size, 7), "grid_size");
  EXPECT_EQ(field(&ValidationConfig::steps, 1001), "steps");
}

TEST(Validation, CanBeCancelled) {
  int polls = 0;
  const auto result = RunValidation({}, [&polls] { return ++polls > 100; });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kCancelled);
}

}  // namespace
}  // namespace mfn::engine
