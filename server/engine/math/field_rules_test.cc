// Single rules and the full step, which must equal a Simulation's.

#include "server/engine/math/field_rules.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/engine/math/golden_test_util.h"
#include "server/engine/simulation.h"

namespace mfn::engine {
namespace {

std::vector<double> Copy(std::span<const double> values) { return {values.begin(), values.end()}; }

// Steps both for a while and compares every bit, the counters and the generators.
void ExpectSameAsSimulation(SimulationConfig config) {
  config.seed = Seed(11);
  auto simulation = Simulation::Create(config);
  ASSERT_TRUE(simulation.ok());
  const size_t n = static_cast<size_t>(config.grid_size);
  FieldState state{Copy((*simulation)->field()), Copy((*simulation)->activator()),
                   Copy((*simulation)->inhibitor()), n, n};
  Generator generator = (*simulation)->generator();
  FieldStepParams params;
  params.alpha = config.alpha;
  params.spike_probability = config.spike_probability;
  params.turing_enabled = config.turing_enabled;
  params.reaction = {config.d_activator, config.d_inhibitor,      config.r_activator,
                     config.r_inhibitor, config.turing_threshold, config.boundary};
  params.quantum_jitter = config.quantum_jitter;
  params.jitter_var = config.jitter_var;
  Counters counters;
  for (int step = 0; step < 40; ++step) {
    ASSERT_TRUE((*simulation)->Step().ok());
    const auto counts = StepFieldState(params, state, generator);
    ASSERT_TRUE(counts.ok());
    counters.growth_events += counts->growth_events;
    counters.turing_activations += counts->turing_activations;
    counters.clamping_events += counts->clamping_events;
  }
  ExpectSameBits(state.field, (*simulation)->field());
  ExpectSameBits(state.activator, (*simulation)->activator());
  ExpectSameBits(state.inhibitor, (*simulation)->inhibitor());
  EXPECT_EQ(generator, (*simulation)->generator());
  EXPECT_EQ(counters.growth_events, (*simulation)->counters().growth_events);
  EXPECT_EQ(counters.turing_activations, (*simulation)->counters().turing_activations);
  EXPECT_EQ(counters.clamping_events, (*simulation)->counters().clamping_events);
}

TEST(FieldRules, FullStepEqualsASimulationStep) {
  for (const Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
    SCOPED_TRACE(BoundaryName(boundary));
    SimulationConfig config;
    config.grid_size = 12;
    config.boundary = boundary;
    config.r_activator = 0.1;  // so that the Turing term fires
    config.r_inhibitor = 0.001;
    config.turing_threshold = 0.5;
    ExpectSameAsSimulation(config);
    config.quantum_jitter = true;
    ExpectSameAsSimulation(config);
    config.turing_enabled = false;
    ExpectSameAsSimulation(config);
  }
}

TEST(FieldRules, DiffusionRefusesOnlyFastRates) {
  const std::vector<double> values = {1.0, 0.0, 0.0};
  const FieldView field{values, 1, 3};
  EXPECT_EQ(DiffusionUpdate(field, 0.25).error().kind, ErrorKind::kStability);
  EXPECT_EQ(DiffusionUpdate(field, std::numeric_limits<double>::quiet_NaN()).error().field,
            "diffusion");
  const auto shrunk = DiffusionUpdate(field, -0.5, Boundary::kNeumann);
  ASSERT_TRUE(shrunk.ok());
  EXPECT_EQ(*shrunk, (std::vector<double>{1.5, -0.5, 0.0}));
}

TEST(FieldRules, ReactionChecksItsRates) {
  const auto check = [](auto member, double value) {
    ReactionParams params;
    params.*member = value;
    return ErrorClass(ValidateReaction(params));
  };
  EXPECT_EQ(check(&ReactionParams::d_activator, 0.25), "StabilityError");
  EXPECT_EQ(check(&ReactionParams::d_inhibitor, -1e-9), "ValueOutOfRangeError");
  EXPECT_EQ(check(&ReactionParams::d_activator, 0.0), "ok");
  EXPECT_EQ(check(&ReactionParams::r_activator, -0.1), "ValueOutOfRangeError");
  EXPECT_EQ(check(&ReactionParams::r_inhibitor, 5.0), "ok");
  EXPECT_EQ(check(&ReactionParams::turing_threshold, 1.1), "ValueOutOfRangeError");
}

TEST(FieldRules, ReactionClampsAndUsesTheOldActivator) {
  ReactionParams params;
  params.r_activator = 10.0;
  params.r_inhibitor = 0.5;
  const std::vector<double> a = {0.5};
  const std::vector<double> i = {0.0};
  const auto next = ReactionUpdate(params, {a, 1, 1}, {i, 1, 1});
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->activator[0], 1.0);  // 0.5 + 10 * 0.25 before the clamp
  EXPECT_EQ(next->inhibitor[0], 0.25);
  const std::vector<double> wide = {0.0, 0.0};
  EXPECT_EQ(ReactionUpdate(params, {a, 1, 1}, {wide, 1, 2}).error().field, "inhibitor");
}

TEST(FieldRules, TuringIsStrictlyAboveTheThreshold) {
  std::vector<double> field = {0.0, 0.0, 0.0};
  const std::vector<double> activator = {0.75, 0.7500001, 1.0};
  EXPECT_EQ(*ApplyTuring(field, activator), 2);
  EXPECT_EQ(field, (std::vector<double>{0.0, 0.005, 0.005}));
  EXPECT_FALSE(ApplyTuring(field, {}).ok());
}

TEST(FieldRules, ClampCountsStrictlyOutside) {
  std::vector<double> field = {-0.095, 0.040, -0.1, 0.1, 0.0};
  EXPECT_EQ(ClampField(field), 2);
  EXPECT_EQ(field, (std::vector<double>{-0.095, 0.040, -0.095, 0.040, 0.0}));
}

TEST(FieldRules, RectanglesSpikeWithinTheirSides) {
  Generator generator(uint64_t{3});
  std::vector<double> field(2 * 50, 0.0);
  for (int k = 0; k < 200; ++k) ASSERT_TRUE(GrowthEvent(field, 2, 50, 1.0, generator));
  EXPECT_NE(field.front() + field[1] + field[2] + field[3], 0.0);
  double right_half = 0.0;
  for (size_t j = 25; j < 50; ++j) right_half += field[j] + field[50 + j];
  EXPECT_GT(right_half, 0.5);  // about 100 spikes of 0.02
}

TEST(FieldRules, StepRefusesProbabilitiesAndVariances) {
  Generator generator(uint64_t{3});
  FieldState state{{0.0}, {0.0}, {0.0}, 1, 1};
  FieldStepParams params;
  params.spike_probability = 1.5;
  EXPECT_EQ(StepFieldState(params, state, generator).error().field, "spike_probability");
  params.spike_probability = 1.0;
  params.jitter_var = -1.0;
  EXPECT_EQ(StepFieldState(params, state, generator).error().field, "jitter_var");
  params.jitter_var = 0.0;
  EXPECT_TRUE(StepFieldState(params, state, generator).ok());
}

}  // namespace
}  // namespace mfn::engine
