// Parameters and their ranges, presets, and the states that runs begin with.

#include "server/engine/kinetics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "server/engine/presets.h"
#include "server/engine/run.h"
#include "server/engine/stability.h"

namespace mfn::engine {
namespace {

const Kinetics kOpen[] = {GrayScott{}, Schnakenberg{}, GiererMeinhardt{}, FitzHughNagumo{},
                          Brusselator{}};

SimulationConfig ConfigOf(const Kinetics& kinetics) {
  SimulationConfig config;
  config.kinetics = kinetics;
  config.turing_threshold = DefaultThreshold(kinetics);
  config.time_step = DefaultTimeStep(kinetics);
  config.seed = Seed(1);
  return config;
}

TEST(KineticsTest, DefaultsAreInRangeAndRun) {
  Kinetics mfn;
  EXPECT_TRUE(ParametersOf(&mfn).empty());
  for (Kinetics kinetics : kOpen) {
    for (const Parameter& parameter : ParametersOf(&kinetics)) {
      EXPECT_LE(parameter.min, *parameter.value) << parameter.name;
      EXPECT_LE(*parameter.value, parameter.max) << parameter.name;
    }
    const auto valid = ValidateRun(ConfigOf(kinetics));
    EXPECT_TRUE(valid.ok()) << valid.error().message;
  }
}

TEST(KineticsTest, EveryParameterIsHeldToItsRange) {
  for (const Kinetics& kinetics : kOpen) {
    Kinetics probe = kinetics;
    for (const Parameter& parameter : ParametersOf(&probe)) {
      const double kept = *parameter.value;
      for (double bad : {std::nextafter(parameter.min, -HUGE_VAL),
                         std::nextafter(parameter.max, HUGE_VAL), std::nan("")}) {
        *parameter.value = bad;
        const auto result = ValidateRun(ConfigOf(probe));
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().kind, ErrorKind::kOutOfRange);
        EXPECT_EQ(result.error().field, "kinetics." + std::string(KineticsName(kinetics)) + "." +
                                            std::string(parameter.name));
        EXPECT_EQ(result.error().max, parameter.max);
      }
      *parameter.value = kept;
    }
  }
}

// The rates, threshold range and clamp of the reference are its own kinetics' business.
TEST(KineticsTest, OnlyTheReferencesKineticsHasItsRanges) {
  SimulationConfig config = ConfigOf(FitzHughNagumo{});
  config.r_activator = 77;
  config.d_activator = 77;
  config.turing_threshold = -0.3;
  EXPECT_TRUE(ValidateRun(config).ok());
  config.turing_threshold = std::nan("");
  EXPECT_EQ(ValidateRun(config).error().field, "turing_threshold");
  config = {};
  for (double bad : {0.0, -1.0, 1e9, std::nan("")}) {
    config.time_step = bad;
    EXPECT_EQ(ValidateRun(config).error().field, "time_step");
    config.time_step = 1.0;
    config.spacing = bad;
    EXPECT_EQ(ValidateRun(config).error().field, "spacing");
    config.spacing = 1.0;
  }
  config.d_inhibitor = 0.24;
  config.time_step = 1.1;
  EXPECT_EQ(ValidateRun(config).error().kind, ErrorKind::kStability);
}

TEST(KineticsTest, PresetsAreValidAndDistinct) {
  std::set<std::string> names;
  for (const Preset& preset : Presets()) {
    EXPECT_TRUE(names.emplace(preset.name).second) << preset.name;
    const auto valid = ValidateRun(preset.config);
    EXPECT_TRUE(valid.ok()) << preset.name << ": " << valid.error().message;
    EXPECT_EQ(FindPreset(preset.name), &preset);
    // Named after its kinetics.
    EXPECT_EQ(preset.name.find(KineticsName(preset.config.kinetics)), 0u) << preset.name;
  }
  EXPECT_EQ(names.size(), 23u);
  EXPECT_EQ(FindPreset("gray_scott"), nullptr);
}

// A time step of mfn is a factor of its rates: half the step and twice the rates are the same.
TEST(KineticsTest, TimeStepAndSpacingScaleTheReferencesRates) {
  SimulationConfig plain;
  plain.seed = Seed(5);
  SimulationConfig scaled = plain;
  scaled.time_step = 0.5;
  scaled.spacing = 0.5;
  scaled.d_activator = plain.d_activator / 2;
  scaled.d_inhibitor = plain.d_inhibitor / 2;
  scaled.r_activator = plain.r_activator * 2;
  scaled.r_inhibitor = plain.r_inhibitor * 2;
  RunOptions options;
  options.chemistry = true;
  const auto a = RunSimulation(plain, options);
  const auto b = RunSimulation(scaled, options);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->activator, b->activator);
  EXPECT_EQ(a->inhibitor, b->inhibitor);
  EXPECT_EQ(a->field, b->field);
}

TEST(InitialStateTest, TuringModelsStartNearTheirSteadyState) {
  for (const Kinetics& kinetics : kOpen) {
    if (std::holds_alternative<GrayScott>(kinetics)) continue;
    const SimulationConfig config = ConfigOf(kinetics);
    auto simulation = Simulation::Create(config);
    ASSERT_TRUE(simulation.ok());
    const Species steady = SteadyState(config);
    for (const auto& [values, level] : {std::pair((*simulation)->activator(), steady.activator),
                                        std::pair((*simulation)->inhibitor(), steady.inhibitor)}) {
      const auto [least, most] = std::ranges::minmax(values);
      EXPECT_GE(least, level - 0.01);
      EXPECT_LE(most, level + 0.01);
      EXPECT_GT(most - least, 0.019);
    }
    auto again = Simulation::Create(config);
    EXPECT_TRUE(std::ranges::equal((*simulation)->activator(), (*again)->activator()));
  }
}

TEST(InitialStateTest, GrayScottStartsFromPearsonsSquare) {
  for (int64_t n : {4, 31, 64}) {
    SimulationConfig config = ConfigOf(GrayScott{});
    config.grid_size = n;
    auto simulation = Simulation::Create(config);
    ASSERT_TRUE(simulation.ok());
    const auto cells = [](std::span<const double> values, double low, double high) {
      return std::ranges::count_if(values, [&](double x) { return x >= low && x <= high; });
    };
    const int64_t side = std::min<int64_t>(20, n / 2);
    EXPECT_EQ(cells((*simulation)->activator(), 0.2475, 0.2525), side * side);
    EXPECT_EQ(cells((*simulation)->activator(), 0.0, 0.0), n * n - side * side);
    EXPECT_EQ(cells((*simulation)->inhibitor(), 0.495, 0.505), side * side);
    EXPECT_EQ(cells((*simulation)->inhibitor(), 0.99, 1.01), n * n - side * side);
  }
}

}  // namespace
}  // namespace mfn::engine
