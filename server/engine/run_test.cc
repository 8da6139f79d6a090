// Whole runs: options, seeds, limits, early ends.

#include "server/engine/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace mfn::engine {
namespace {

SimulationConfig SmallConfig() {
  SimulationConfig config;
  config.grid_size = 16;
  config.steps = 30;
  config.seed = Seed(5);
  return config;
}

TEST(RunTest, TheModelsCheckValues) {
  SimulationConfig config;
  config.seed = Seed(42);
  const auto run = RunSimulation(config);
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->counters.growth_events, 14);
  EXPECT_EQ(run->statistics.field_mean_v, -0.07003076248064738);
  EXPECT_EQ(run->statistics.activator_mean, 0.04731262474578042);
  EXPECT_TRUE(run->history.empty());
  EXPECT_TRUE(run->activator.empty());
  EXPECT_FALSE(run->features.has_value());
}

TEST(RunTest, ADrawnSeedIsReportedAndRepeatsTheRun) {
  SimulationConfig config = SmallConfig();
  config.seed.reset();
  const auto first = RunSimulation(config);
  ASSERT_TRUE(first.ok());
  config.seed = first->seed;
  const auto second = RunSimulation(config);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->field, second->field);
  config.seed.reset();
  EXPECT_NE(RunSimulation(config)->field, first->field);
}

TEST(RunTest, TheLastFrameIsTheField) {
  RunOptions options;
  options.history = true;
  const auto run = RunSimulation(SmallConfig(), options);
  ASSERT_TRUE(run.ok());
  ASSERT_EQ(run->history.size(), 30u * 256u);
  EXPECT_TRUE(std::equal(run->field.begin(), run->field.end(), run->history.end() - 256));
}

TEST(RunTest, TooLongAHistoryIsRefusedBeforeWorking) {
  SimulationConfig config = SmallConfig();
  RunOptions options;
  options.history = true;
  options.max_history_cells = 29 * 256;
  options.observer = [](const StepView&) {
    ADD_FAILURE() << "a step was computed";
    return true;
  };
  const auto run = RunSimulation(config, options);
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(run.error().field, "history");
  EXPECT_EQ(run.error().max, 29.0);
}

TEST(RunTest, AnObserverEndsTheRunWithAResult) {
  RunOptions options;
  options.history = true;
  options.features = FeatureConfig{};
  options.observer = [](const StepView& view) { return view.step < 7; };
  const auto run = RunSimulation(SmallConfig(), options);
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->counters.steps_computed, 7);
  EXPECT_EQ(run->history.size(), 7u * 256u);
  SimulationConfig shorter = SmallConfig();
  shorter.steps = 7;
  options.observer = {};
  EXPECT_EQ(RunSimulation(shorter, options)->features->ToArray(), run->features->ToArray());
}

TEST(RunTest, CancelEndsTheRunWithAnError) {
  std::atomic<bool> cancelled{false};
  RunOptions options;
  options.observer = [&cancelled](const StepView& view) {
    if (view.step == 4) cancelled = true;
    return true;
  };
  options.cancel = [&cancelled] { return cancelled.load(); };
  const auto run = RunSimulation(SmallConfig(), options);
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(run.error().step, 4);
}

TEST(RunTest, AnArenaChangesNothing) {
  Simulation arena;
  RunOptions with_arena;
  with_arena.arena = &arena;
  for (int64_t n : {16, 9, 33}) {
    SimulationConfig config = SmallConfig();
    config.grid_size = n;
    const auto fresh = RunSimulation(config);
    const auto reused = RunSimulation(config, with_arena);
    ASSERT_TRUE(fresh.ok() && reused.ok());
    EXPECT_EQ(fresh->field, reused->field);
  }
}

TEST(RunTest, StartsFromTheCallersField) {
  const std::vector<double> field(256, -0.05);
  SimulationConfig config = SmallConfig();
  config.spike_probability = 0.0;
  RunOptions options;
  options.initial = InitialState{field, {}, {}, {}};
  const auto run = RunSimulation(config, options);
  ASSERT_TRUE(run.ok());
  EXPECT_NEAR(run->statistics.field_mean_v, -0.05, 1e-12);
  options.initial->field = std::span(field).first(255);
  EXPECT_EQ(RunSimulation(config, options).error().field, "initial_field");
}

// The initial state, the steps and the statistics of a large grid are shared by threads.
TEST(RunTest, ThreadsChangeNothingOfTheResult) {
  SimulationConfig config = SmallConfig();
  const std::vector<double> level(264 * 264, 0.05);
  for (const int64_t n : {256, 259, 264}) {
    for (const bool given : {false, true}) {
      config.grid_size = n;
      config.precision = n == 256 ? Precision::kFast : Precision::kExact;
      RunOptions options;
      options.snapshot = true;
      if (given) options.initial.emplace().activator = {level.data(), static_cast<size_t>(n * n)};
      const auto alone = RunSimulation(config, options);
      options.threads = 3;
      const auto shared = RunSimulation(config, options);
      ASSERT_TRUE(alone.ok() && shared.ok());
      EXPECT_EQ(shared->field, alone->field) << n;
      EXPECT_EQ(shared->activator, alone->activator) << n;
      EXPECT_EQ(shared->inhibitor, alone->inhibitor) << n;
      EXPECT_TRUE(*shared->generator == *alone->generator) << n;
      EXPECT_EQ(shared->counters, alone->counters) << n;
      EXPECT_EQ(shared->statistics, alone->statistics) << n;
    }
  }
}

// The change falls below the threshold within the first steps that are taken at once, which are
// therefore undone.
TEST(RunTest, StepsThatAreUndoneForTheFeaturesLeaveNoTrace) {
  SimulationConfig config = SmallConfig();
  config.grid_size = 256;
  config.spike_probability = 0.5;
  for (const bool turing : {true, false}) {
    config.turing_enabled = turing;
    RunOptions options;
    options.chemistry = true;
    options.features.emplace().stability_threshold_mv = 0.05;
    const auto run = RunSimulation(config, options);
    options.observer = [](const StepView&) { return true; };
    const auto observed = RunSimulation(config, options);
    ASSERT_TRUE(run.ok() && observed.ok());
    EXPECT_EQ(run->field, observed->field) << turing;
    EXPECT_EQ(run->activator, observed->activator) << turing;
    EXPECT_EQ(run->inhibitor, observed->inhibitor) << turing;
    EXPECT_EQ(run->counters, observed->counters) << turing;
    EXPECT_EQ(run->features->ToArray(), observed->features->ToArray()) << turing;
  }
}

TEST(RunTest, BadFeatureConfigurationIsRefusedBeforeWorking) {
  RunOptions options;
  options.features = FeatureConfig{};
  options.features->num_scales = 1;
  options.cancel = [] {
    ADD_FAILURE() << "the run was started";
    return true;
  };
  EXPECT_EQ(RunSimulation(SmallConfig(), options).error().field, "num_scales");
}

TEST(RunTest, TimeComesFromTheGivenClock) {
  int64_t now = 100;
  RunOptions options;
  options.clock = [&now] { return std::chrono::nanoseconds(now += 50); };
  EXPECT_EQ(RunSimulation(SmallConfig(), options)->elapsed, std::chrono::nanoseconds(50));
}

}  // namespace
}  // namespace mfn::engine
