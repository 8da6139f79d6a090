// The bounds of a state against the state.
#include "server/engine/reach.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/engine/stepper.h"

namespace mfn::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Reach Of(const Stepper<double>& grid) {
  const auto [low, high] = std::ranges::minmax(grid.field());
  return {low, high,
          std::max(std::ranges::max(grid.activator()), std::ranges::max(grid.inhibitor()))};
}

std::optional<Spike> RandomSpike(size_t n, Generator& generator) {
  if (generator.Random() < 0.5) return std::nullopt;
  const size_t cell = static_cast<size_t>(generator.Random() * static_cast<double>(n * n));
  return Spike{cell / n, cell % n, 0.06 * generator.Random() - 0.03};
}

// Random parameters and a random state: whatever a step does stays within what is foretold.
TEST(ReachTest, NoStepGoesBeyond) {
  Generator generator(uint64_t{7});
  for (int round = 0; round < 60; ++round) {
    KernelParams params;
    params.boundary = static_cast<Boundary>(round % 3);
    params.alpha = 0.25 * generator.Random();
    params.d_activator = round % 5 == 0 ? 0.25 : 0.25 * generator.Random();
    params.d_inhibitor = 0.25 * generator.Random();
    params.r_activator = generator.Random();
    params.r_inhibitor = generator.Random();
    params.inhibitor_sees_new_activator = round % 2 == 0;
    params.turing_threshold = 5.0;
    Stepper<double> grid;
    const size_t n = round % 4 == 0 ? 2 + static_cast<size_t>(round) / 4 % 3 : 12;
    grid.Resize(n);
    generator.FillUniform(grid.field(), -0.08, 0.02);
    generator.FillUniform(grid.activator(), 0.0, generator.Random());
    generator.FillUniform(grid.inhibitor(), 0.0, generator.Random());
    for (int step = 0; step < 10; ++step) {
      const Stepper<double>& state = grid;
      const std::optional<Spike> spike = RandomSpike(n, generator);
      const Reach foretold =
          After(Of(state), params, {&spike, 1}, std::numeric_limits<double>::epsilon());
      grid.Step(params, spike, generator, nullptr);
      const Reach found = Of(state);
      EXPECT_GE(found.field_low, std::max(foretold.field_low, kFieldMinV));
      EXPECT_LE(found.field_high, std::max(foretold.field_high, kFieldMinV));
      EXPECT_LE(found.chemical_high, foretold.chemical_high) << round << " " << step;
    }
  }
}

TEST(ReachTest, NothingIsKnownWhereDiffusionIsNoMeanOrTheChemistryIsAnother) {
  const Reach calm = {-0.07, -0.05, 0.1};
  const std::optional<Spike> none;
  KernelParams params;
  EXPECT_TRUE(WithinLimits(After(calm, params, {&none, 1}, 1e-16), params));
  params.alpha = 0.26;
  EXPECT_EQ(After(calm, params, {&none, 1}, 1e-16).field_high, kInfinity);
  EXPECT_FALSE(WithinLimits(After(calm, params, {&none, 1}, 1e-16), params));
  params = {};
  params.d_inhibitor = 0.3;
  EXPECT_EQ(After(calm, params, {&none, 1}, 1e-16).chemical_high, kInfinity);
  params = {};
  params.kinetics = GrayScott();
  EXPECT_EQ(After(calm, params, {&none, 1}, 1e-16).chemical_high, kInfinity);
  params = {};
  params.turing_threshold = 0.05;
  EXPECT_FALSE(WithinLimits(calm, params));
}

// A state that hovers at every limit is settled as if each step were looked at: the steps of a
// stepper that has just been written to, and so knows nothing.
TEST(ReachTest, LookingOnlyWhereNeededCountsTheSame) {
  KernelParams params;
  params.turing_threshold = 0.3;
  params.r_activator = 0.1;
  params.r_inhibitor = 0.05;
  Stepper<double> knowing, forgetful;
  for (Stepper<double>* grid : {&knowing, &forgetful}) {
    Generator generator(uint64_t{3});
    grid->Resize(32);
    generator.FillUniform(grid->field(), -0.0949, 0.0399);
    generator.FillUniform(grid->activator(), 0.0, 0.299);
    generator.FillUniform(grid->inhibitor(), 0.0, 0.1);
  }
  Generator generator(uint64_t{5});
  StepCounts expected, counts;
  for (int step = 0; step < 200; ++step) {
    const std::optional<Spike> spike = RandomSpike(32, generator);
    (void)forgetful.field();
    counts += knowing.Step(params, spike, generator, nullptr);
    expected += forgetful.Step(params, spike, generator, nullptr);
  }
  EXPECT_EQ(counts, expected);
  EXPECT_GT(counts.clamping_events, 0);
  EXPECT_GT(counts.turing_activations, 0);
  EXPECT_TRUE(std::ranges::equal(knowing.field(), forgetful.field()));
  EXPECT_TRUE(std::ranges::equal(knowing.activator(), forgetful.activator()));
}

}  // namespace
}  // namespace mfn::engine
