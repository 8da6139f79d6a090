// Which inputs are refused, by which check, with which error.

#include "server/engine/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "server/engine/golden_test_util.h"
#include "server/engine/run.h"

namespace mfn::engine {
namespace {

using nlohmann::json;

std::string GoldenClass(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kInvalidArgument:
      return "ValueError";
    case ErrorKind::kOutOfRange:
      return "ValueOutOfRangeError";
    case ErrorKind::kStability:
      return "StabilityError";
    case ErrorKind::kNumericalInstability:
      return "NumericalInstabilityError";
    default:
      return std::string(ErrorKindName(error.kind));
  }
}

template <typename T>
std::string GoldenClass(const Expected<T>& result) {
  return result.ok() ? "ok" : GoldenClass(result.error());
}

std::string RunGolden(const json& c, const json& base) {
  const std::string api = c["api"];
  if (api == "feature_config") return GoldenClass(ReadFeatureConfig(c["config"]).Validate());
  SimulationConfig config;
  ReadConfig(base.at(api), &config);
  if (c["config"].contains("seed") && c["config"]["seed"] == -1) {
    return GoldenClass(Seed::FromDecimal("-1"));
  }
  ReadConfig(c["config"], &config);
  if (api == "simulation") return GoldenClass(RunSimulation(config));
  auto simulation = Simulation::Create(config);
  if (!simulation.ok()) return GoldenClass(simulation);
  return GoldenClass((*simulation)->Run(config.steps));
}

TEST(ConfigTest, GoldenErrors) {
  const json golden = LoadGolden("errors.json");
  int checked = 0;
  for (const json& c : golden["cases"]) {
    const std::string api = c["api"];
    if (api != "simulation" && api != "engine" && api != "feature_config") continue;
    EXPECT_EQ(RunGolden(c, golden["meta"]["base"]), c["result"]) << c;
    ++checked;
  }
  EXPECT_EQ(checked, 36);
}

TEST(ConfigTest, AnErrorNamesFieldValueAndBounds) {
  SimulationConfig config;
  config.r_inhibitor = 0.11;
  const auto result = ValidateRun(config);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().field, "r_inhibitor");
  EXPECT_EQ(result.error().value, 0.11);
  EXPECT_EQ(result.error().min, 0.001);
  EXPECT_EQ(result.error().max, 0.1);
  EXPECT_EQ(result.error().message, "r_inhibitor is 0.11, must be in [0.001, 0.1]");
}

// Everything is wrong at once: fields are reported in the order of the checks.
TEST(ConfigTest, ChecksRunInTheModelsOrder) {
  const double nan = std::nan("");
  SimulationConfig c;
  c.grid_size = 1;
  c.steps = 0;
  c.alpha = c.spike_probability = c.turing_threshold = nan;
  c.jitter_var = -1;
  c.d_activator = c.d_inhibitor = 1;
  c.r_activator = c.r_inhibitor = 1;
  const auto next = [&c](ErrorKind kind, const char* field) {
    const auto result = ValidateRun(c);
    ASSERT_FALSE(result.ok()) << field;
    EXPECT_EQ(result.error().field, field);
    EXPECT_EQ(result.error().kind, kind) << field;
  };
  next(ErrorKind::kInvalidArgument, "grid_size");
  c.grid_size = 3;
  next(ErrorKind::kInvalidArgument, "steps");
  c.steps = 1;
  next(ErrorKind::kInvalidArgument, "alpha");
  c.alpha = 0.25;
  next(ErrorKind::kInvalidArgument, "spike_probability");
  c.spike_probability = 0.5;
  next(ErrorKind::kInvalidArgument, "turing_threshold");
  c.turing_threshold = 0.1;
  next(ErrorKind::kInvalidArgument, "jitter_var");
  c.jitter_var = nan;  // passes the outer check only
  next(ErrorKind::kOutOfRange, "grid_size");
  c.grid_size = 4;
  next(ErrorKind::kStability, "d_activator");
  c.d_activator = 0.1;
  next(ErrorKind::kStability, "d_inhibitor");
  c.d_inhibitor = 0.001;
  next(ErrorKind::kOutOfRange, "d_inhibitor");
  c.d_inhibitor = 0.1;
  next(ErrorKind::kStability, "alpha");
  c.alpha = 0.1;
  next(ErrorKind::kOutOfRange, "r_activator");
  c.r_activator = 0.01;
  next(ErrorKind::kOutOfRange, "r_inhibitor");
  c.r_inhibitor = 0.01;
  next(ErrorKind::kOutOfRange, "turing_threshold");
  c.turing_threshold = 0.5;
  next(ErrorKind::kOutOfRange, "jitter_var");
  c.jitter_var = 0.0;
  EXPECT_TRUE(ValidateRun(c).ok());
}

TEST(ConfigTest, StrictIsNarrowerWhereTheModelSaysSo) {
  SimulationConfig c;
  EXPECT_TRUE(ValidateStrict(c).ok());
  c.grid_size = 513;
  EXPECT_EQ(ValidateStrict(c).error().field, "grid_size");
  c.grid_size = 512;
  c.steps = 10001;
  EXPECT_EQ(ValidateStrict(c).error().field, "steps");
  c.steps = 10000;
  c.alpha = 0.001;
  EXPECT_EQ(ValidateStrict(c).error().field, "alpha");
  c.alpha = 0.25;
  EXPECT_TRUE(ValidateStrict(c).ok());
  c.jitter_var = 0.011;
  EXPECT_EQ(ValidateStrict(c).error().kind, ErrorKind::kInvalidArgument);
}

TEST(ConfigTest, LimitsNameTheBound) {
  SimulationConfig c;
  c.grid_size = 1024;
  c.steps = 1 << 16;
  EXPECT_TRUE(CheckLimits(c).ok());
  ++c.steps;
  auto result = CheckLimits(c);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(result.error().field, "steps");
  EXPECT_EQ(result.error().max, 65536.0);
  c.steps = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(CheckLimits(c).error().field, "steps");
  c.grid_size = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(CheckLimits(c).error().field, "grid_size");
  EXPECT_EQ(CheckLimits(c).error().max, 1024.0);
}

TEST(ConfigTest, LimitsRefuseNumbersThatTheEngineWouldStumbleOver) {
  SimulationConfig c;
  c.d_inhibitor = std::nan("");
  EXPECT_TRUE(ValidateRun(c).ok());
  const auto result = CheckLimits(c);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().field, "d_inhibitor");
  EXPECT_EQ(result.error().kind, ErrorKind::kInvalidArgument);
}

TEST(ConfigTest, BoundaryNamesReadBack) {
  for (Boundary b : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
    EXPECT_EQ(*ParseBoundary(BoundaryName(b)), b);
  }
  EXPECT_EQ(ParseBoundary("open").error().field, "boundary");
}

TEST(FeatureConfigTest, StrictTwin) {
  FeatureConfig c;
  EXPECT_TRUE(c.ValidateStrict().ok());
  c.num_scales = 21;
  EXPECT_TRUE(c.Validate().ok());
  EXPECT_EQ(c.ValidateStrict().error().field, "num_scales");
  c = {};
  c.threshold_med_mv = -60;
  EXPECT_EQ(c.ValidateStrict().error().field, "threshold_med_mv");
  c = {};
  c.threshold_high_mv = 51;
  EXPECT_EQ(c.ValidateStrict().error().field, "threshold_high_mv");
  c = {};
  c.max_box_size = 1;
  EXPECT_EQ(c.ValidateStrict().error().field, "max_box_size");
  c = {};
  c.stability_window = 0;
  EXPECT_EQ(c.ValidateStrict().error().field, "stability_window");
  c = {};
  c.stability_threshold_mv = std::nan("");
  EXPECT_EQ(c.ValidateStrict().error().field, "stability_threshold_mv");
  c = {};
  c.num_scales = int64_t{1} << 40;
  EXPECT_EQ(c.Validate().error().kind, ErrorKind::kResourceExhausted);
}

}  // namespace
}  // namespace mfn::engine
