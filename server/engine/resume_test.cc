// A run that is interrupted and resumed equals one that was not: every bit of state, counters,
// features, and all later draws.

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "server/engine/run.h"

namespace mfn::engine {
namespace {

RunResult RunTo(SimulationConfig config, int64_t steps, const RunResult* from) {
  config.steps = steps;
  RunOptions options;
  options.features.emplace();
  options.features->stability_threshold_mv = 0.05;
  options.snapshot = true;
  if (from != nullptr) {
    options.initial = InitialState{from->field, from->activator, from->inhibitor, from->generator,
                                   from->counters};
    options.feature_state = &*from->feature_state;
  }
  auto run = RunSimulation(config, options);
  EXPECT_TRUE(run.ok()) << (run.ok() ? "" : run.error().message);
  return run.ok() ? *std::move(run) : RunResult();
}

void ExpectSame(const RunResult& a, const RunResult& b) {
  EXPECT_EQ(a.field, b.field);
  EXPECT_EQ(a.activator, b.activator);
  EXPECT_EQ(a.inhibitor, b.inhibitor);
  EXPECT_EQ(a.counters, b.counters);
  EXPECT_EQ(*a.generator, *b.generator);
  EXPECT_EQ(a.features->ToArray(), b.features->ToArray());
  EXPECT_EQ(a.feature_state->pending, b.feature_state->pending);
}

struct Case {
  int64_t n;
  Boundary boundary;
  bool jitter;
  Precision precision;
};

// 4: tails only; 33: changes are kept; 64: half chunks; 96: a frame is more than a chunk.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (int64_t n : {4, 33, 64, 96}) {
    for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
      for (bool jitter : {false, true}) {
        for (Precision precision : {Precision::kExact, Precision::kFast}) {
          cases.push_back({n, boundary, jitter, precision});
        }
      }
    }
  }
  return cases;
}

TEST(ResumeTest, EqualsTheUninterruptedRun) {
  Generator splits(2026);
  for (const Case& c : Cases()) {
    SCOPED_TRACE(testing::Message() << c.n << " " << BoundaryName(c.boundary) << " " << c.jitter
                                    << " " << static_cast<int>(c.precision));
    SimulationConfig config;
    config.grid_size = c.n;
    config.boundary = c.boundary;
    config.quantum_jitter = c.jitter;
    config.precision = c.precision;
    config.spike_probability = 0.6;
    config.seed = Seed(static_cast<uint64_t>(c.n) + 9);
    constexpr int64_t kSteps = 40;
    const RunResult whole = RunTo(config, kSteps, nullptr);
    const int64_t first = splits.Integers(1, kSteps - 1);
    const int64_t second = splits.Integers(first + 1, kSteps);
    RunResult part = RunTo(config, first, nullptr);
    part = RunTo(config, second, &part);
    part = RunTo(config, kSteps, &part);
    ExpectSame(part, whole);
  }
}

TEST(ResumeTest, AFieldThatComesToRestDoesSoAtTheSameStep) {
  SimulationConfig config;
  config.grid_size = 32;
  config.spike_probability = 0.0;
  config.seed = Seed(3);
  const RunResult whole = RunTo(config, 400, nullptr);
  ASSERT_LT(whole.features->t_stable, 400);
  for (int64_t split : {whole.features->t_stable + 4, whole.features->t_stable + 40}) {
    const RunResult part = RunTo(config, split, nullptr);
    ExpectSame(RunTo(config, 400, &part), whole);
  }
}

TEST(ResumeTest, NothingLeftToRunIsRefused) {
  SimulationConfig config;
  config.grid_size = 8;
  config.steps = 5;
  const RunResult part = RunTo(config, 5, nullptr);
  RunOptions options;
  options.initial =
      InitialState{part.field, part.activator, part.inhibitor, part.generator, part.counters};
  const auto run = RunSimulation(config, options);
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().field, "steps");
}

TEST(ResumeTest, AFeatureStateThatCannotBeIsRefused) {
  const std::vector<double> frame(64 * 64, -0.07);
  FeatureState good;
  good.frames = 4;
  good.pending.resize(FeatureAccumulator::PendingOf(64, 4));
  ASSERT_EQ(good.pending.size(), 32u);
  FeatureAccumulator accumulator;
  const auto refused = [&](const FeatureState& state) {
    const auto restored = accumulator.Restore(64, {}, state, frame);
    return !restored.ok() && restored.error().field == "features";
  };
  EXPECT_TRUE(accumulator.Restore(64, {}, good, frame).ok());
  FeatureState bad = good;
  bad.pending.push_back(0.0);
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.frames = -1;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.stable_run = 5;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.energy_mean = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(refused(bad));
  // The count of changes is beyond 64 bits.
  EXPECT_LT(FeatureAccumulator::PendingOf(1023, std::numeric_limits<int64_t>::max()), 8192u);
}

}  // namespace
}  // namespace mfn::engine
