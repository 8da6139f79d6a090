// Steady states, Jacobians and bounds against the kernel itself.

#include "server/engine/stability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <variant>
#include <vector>

#include "server/engine/kinetics_test_util.h"
#include "server/engine/presets.h"
#include "server/engine/stepper.h"

namespace mfn::engine {
namespace {

SimulationConfig ConfigOf(const Kinetics& kinetics) {
  SimulationConfig config;
  config.kinetics = kinetics;
  config.turing_threshold = DefaultThreshold(kinetics);
  config.time_step = DefaultTimeStep(kinetics);
  return config;
}

std::vector<SimulationConfig> Several() {
  std::vector<SimulationConfig> configs;
  for (const Preset& preset : Presets()) configs.push_back(preset.config);
  for (const double a1 : {0.0, 0.3, 1.0, 2.0, 10.0}) {
    for (const double a0 : {0.0, -0.1, 0.7, -10.0}) {
      configs.push_back(ConfigOf(FitzHughNagumo{.a1 = a1, .a0 = a0}));
    }
  }
  configs.push_back(ConfigOf(GiererMeinhardt{.a = 0.0, .b = 0.7, .c = 1.4, .saturation = 3.0}));
  return configs;
}

// f and g at a state.
Species RatesAt(const SimulationConfig& config, const Species& at) {
  KernelParams params;
  params.kinetics = config.kinetics;
  params.r_activator = config.r_activator;
  params.r_inhibitor = config.r_inhibitor;
  const auto [f, g] =
      std::visit(Reaction<double>{params, at.activator, at.inhibitor}, config.kinetics);
  return {f, g};
}

TEST(StabilityTest, NothingReactsInTheSteadyState) {
  for (const SimulationConfig& config : Several()) {
    const Species state = SteadyState(config);
    const Species rates = RatesAt(config, state);
    const double size = 1.0 + std::pow(std::abs(state.activator), 3);
    EXPECT_NEAR(rates.activator, 0.0, 1e-13 * size) << KineticsName(config.kinetics);
    EXPECT_NEAR(rates.inhibitor, 0.0, 1e-13 * size * 100) << KineticsName(config.kinetics);
  }
  // Three states: the middle one.
  EXPECT_NEAR(SteadyState(ConfigOf(FitzHughNagumo{.a1 = 2.0})).activator, 0.0, 1e-15);
}

TEST(StabilityTest, TheJacobianIsTheDerivative) {
  for (const SimulationConfig& config : Several()) {
    SCOPED_TRACE(KineticsName(config.kinetics));
    const Species at = {0.8, 1.3};
    const Jacobian jacobian = JacobianAt(config, at);
    const double h = 1e-5;
    const auto derivative = [&](Species step) {
      const Species up =
          RatesAt(config, {at.activator + h * step.activator, at.inhibitor + h * step.inhibitor});
      const Species down =
          RatesAt(config, {at.activator - h * step.activator, at.inhibitor - h * step.inhibitor});
      return Species{(up.activator - down.activator) / (2 * h),
                     (up.inhibitor - down.inhibitor) / (2 * h)};
    };
    const Species by_a = derivative({1, 0});
    const Species by_i = derivative({0, 1});
    EXPECT_NEAR(jacobian.aa, by_a.activator, 1e-7);
    EXPECT_NEAR(jacobian.ia, by_a.inhibitor, 1e-7);
    EXPECT_NEAR(jacobian.ai, by_i.activator, 1e-7);
    EXPECT_NEAR(jacobian.ii, by_i.inhibitor, 1e-7);
  }
}

// What kinetics.h says about each.
TEST(StabilityTest, TuringConditionsAreThoseOfTheDocumentation) {
  EXPECT_FALSE(HasTuringInstability(ConfigOf(Mfn{})));
  EXPECT_FALSE(HasTuringInstability(ConfigOf(GrayScott{})));
  EXPECT_TRUE(HasTuringInstability(ConfigOf(Schnakenberg{.d_inhibitor = 8.65})));
  EXPECT_FALSE(HasTuringInstability(ConfigOf(Schnakenberg{.d_inhibitor = 8.5})));
  EXPECT_TRUE(HasTuringInstability(ConfigOf(GiererMeinhardt{.d_inhibitor = 8.35})));
  EXPECT_FALSE(HasTuringInstability(ConfigOf(GiererMeinhardt{.d_inhibitor = 8.2})));
  // d - 2 > 2 * sqrt(2 * d): beyond 6 + 4 * sqrt(2)
  EXPECT_TRUE(HasTuringInstability(ConfigOf(FitzHughNagumo{.d_inhibitor = 11.7})));
  EXPECT_FALSE(HasTuringInstability(ConfigOf(FitzHughNagumo{.d_inhibitor = 11.6})));
  // (1 + 4.5 / sqrt(8))^2 = 6.71 and 1 + 4.5^2 = 21.25
  EXPECT_FALSE(HasTuringInstability(ConfigOf(Brusselator{.b = 6.68})));
  EXPECT_TRUE(HasTuringInstability(ConfigOf(Brusselator{.b = 6.75})));
  EXPECT_FALSE(HasTuringInstability(ConfigOf(Brusselator{.b = 21.3})));
}

TEST(StabilityTest, TheFastestWaveIsAMaximum) {
  for (const Preset& preset : Presets()) {
    if (!HasTuringInstability(preset.config)) continue;
    const FastestWave wave = FastestGrowth(preset.config);
    EXPECT_EQ(wave.rate, GrowthAt(preset.config, wave.q).real());
    EXPECT_GT(wave.rate, GrowthAt(preset.config, wave.q * 1.01).real()) << preset.name;
    EXPECT_GT(wave.rate, GrowthAt(preset.config, wave.q * 0.99).real()) << preset.name;
  }
}

// How a disturbance of the steady state grows in 400 steps, as a factor: either in the shortest
// wave or everywhere alike.
double Amplification(const SimulationConfig& config, bool shortest) {
  KernelParams params;
  params.kinetics = config.kinetics;
  params.time_step = config.time_step;
  params.turing_threshold = 1e9;
  const Diffusion diffusion = DiffusionOf(config);
  const double scale = config.time_step / (config.spacing * config.spacing);
  params.d_activator = diffusion.activator * scale;
  params.d_inhibitor = diffusion.inhibitor * scale;
  const Species steady = SteadyState(config);
  Stepper<double> grid;
  grid.Resize(16);
  std::fill(grid.field().begin(), grid.field().end(), -0.07);
  const double size = 1e-9;
  for (size_t k = 0; k < 256; ++k) {
    const double sign = shortest && (k / 16 + k % 16) % 2 == 1 ? -1.0 : 1.0;
    grid.activator()[k] = steady.activator + size * sign;
    grid.inhibitor()[k] = steady.inhibitor + size * sign;
  }
  Generator unused(uint64_t{0});
  for (int s = 0; s < 400; ++s) grid.Step(params, {}, unused, nullptr);
  return std::max(std::abs(grid.activator()[0] - steady.activator),
                  std::abs(grid.inhibitor()[0] - steady.inhibitor)) /
         size;
}

// The bound that is met is one: 1 % below it the wave that it is about decays, 2 % above it grows.
TEST(StabilityTest, TheTimeStepIsHeldWhereTheSchemeBreaks) {
  for (const Kinetics& kinetics :
       {Kinetics(GrayScott{}), Kinetics(Schnakenberg{}), Kinetics(GiererMeinhardt{}),
        Kinetics(FitzHughNagumo{}), Kinetics(Brusselator{})}) {
    SCOPED_TRACE(KineticsName(kinetics));
    SimulationConfig config = ConfigOf(kinetics);
    config.time_step = 1000.0;
    const auto checked = CheckTimeStep(config);
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().kind, ErrorKind::kStability);
    EXPECT_EQ(checked.error().field, "time_step");
    config.time_step = *checked.error().max;
    EXPECT_TRUE(CheckTimeStep(config).ok());
    config.time_step = *checked.error().max * 0.99;
    EXPECT_LT(Amplification(config, true), 1.0);
    config.time_step = *checked.error().max * 1.02;
    EXPECT_FALSE(CheckTimeStep(config).ok());
    EXPECT_GT(Amplification(config, true), 10.0);
  }
}

TEST(StabilityTest, AnErrorNamesTheBoundAndWhatToChange) {
  SimulationConfig config = ConfigOf(Schnakenberg{.d_inhibitor = 40});
  config.spacing = 0.5;
  auto error = CheckTimeStep(config).error();
  EXPECT_NE(error.message.find("diffusion and reaction together"), std::string::npos)
      << error.message;
  config = ConfigOf(Mfn{});
  config.time_step = 2.6;
  error = CheckTimeStep(config).error();
  EXPECT_EQ(error.message,
            "time_step is 2.6, must be at most 2.5 for the scheme to be stable (diffusion: "
            "spacing^2 / (4 * d_activator) with spacing 1 and diffusion 0.1; lower time_step or "
            "raise spacing)");
  // No diffusion to speak of: what is left is the reaction.
  config = ConfigOf(FitzHughNagumo{.d_activator = 0, .d_inhibitor = 0, .epsilon = 100});
  config.time_step = 0.05;
  error = CheckTimeStep(config).error();
  EXPECT_NE(error.message.find("(reaction: 2 / |eigenvalue|"), std::string::npos) << error.message;
}

}  // namespace
}  // namespace mfn::engine
