// Steps taken at once, by tiles and threads, against steps taken one by one: the same bits.

#include "server/engine/stepper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "server/engine/count_allocations.h"
#include "server/engine/simulation.h"
#include "server/engine/stepper_test_util.h"

namespace mfn::engine {
namespace {

template <typename T>
void CompareWithSingleSteps(size_t n, size_t threads, size_t steps, const KernelParams& params,
                            double chemical_max) {
  const std::string what = "n " + std::to_string(n) + " threads " + std::to_string(threads);
  const Spikes spikes = EverySpike(n);
  Stepper<T> one_by_one, at_once;
  Fill(one_by_one, n, chemical_max);
  Fill(at_once, n, chemical_max);
  ASSERT_GE(at_once.StepsAtOnce(params, threads), 2u) << what;
  Generator unused(uint64_t{0});
  StepCounts expected;
  for (size_t s = 0; s < steps; ++s) {
    expected += one_by_one.Step(params, spikes[s], unused, nullptr);
  }
  Team team(threads);
  const StepCounts counts = at_once.StepMany(params, steps, spikes, team);
  EXPECT_EQ(counts, expected) << what;
  ExpectSame(at_once, one_by_one, what);
}

TEST(StepperTest, StepsAtOnceEqualStepsOneByOne) {
  for (size_t threads : {1, 2, 3, 4}) {
    for (size_t n : {256, 301}) {
      CompareWithSingleSteps<double>(n, threads, 6, {}, 0.1);
    }
  }
}

// Rates and a start with which cells fire and are clamped everywhere, so that halos would be
// counted twice if anything were.
TEST(StepperTest, CountsOfTilesEqualThoseOfTheGrid) {
  KernelParams params;
  params.r_activator = 0.1;
  params.r_inhibitor = 0.001;
  params.turing_threshold = 0.5;
  for (size_t threads : {1, 3}) CompareWithSingleSteps<double>(259, threads, 5, params, 1.2);
}

TEST(StepperTest, WideGridsAreCutIntoColumnsToo) {
  KernelParams params;
  params.turing_threshold = 0.5;
  params.r_activator = 0.1;
  CompareWithSingleSteps<double>(1030, 1, 16, params, 0.9);
  CompareWithSingleSteps<double>(1088, 3, 5, {}, 0.1);
  params.turing_enabled = false;
  CompareWithSingleSteps<float>(1088, 2, 3, params, 0.1);
}

TEST(StepperTest, NoTilesWhereTheyWouldBeWrongOrUseless) {
  Stepper<double> grid;
  grid.Resize(64);
  EXPECT_EQ(grid.StepsAtOnce({}, 1), 1u);
  grid.Resize(512);
  EXPECT_GT(grid.StepsAtOnce({}, 1), 1u);
  EXPECT_EQ(grid.StepsAtOnce({}, 100), 1u);
  KernelParams params;
  params.quantum_jitter = true;
  EXPECT_EQ(grid.StepsAtOnce(params, 1), 1u);
  params = {};
  params.boundary = Boundary::kNeumann;
  EXPECT_EQ(grid.StepsAtOnce(params, 1), 1u);
  params = {};
  params.alpha = std::nan("");
  EXPECT_EQ(grid.StepsAtOnce(params, 1), 1u);
}

TEST(SimulationThreadsTest, ObserversAndThreadsChangeNoBit) {
  SimulationConfig config;
  config.grid_size = 260;
  config.seed = Seed(5);
  auto watched = Simulation::Create(config);
  ASSERT_TRUE(watched.ok());
  ASSERT_TRUE((*watched)->Run(30, [](const StepView&) { return true; }).ok());
  for (size_t threads : {1, 2, 4}) {
    auto alone = Simulation::Create(config);
    ASSERT_TRUE(alone.ok());
    (*alone)->SetThreads(threads);
    ASSERT_TRUE((*alone)->Run(30).ok());
    EXPECT_EQ((*alone)->counters(), (*watched)->counters());
    EXPECT_TRUE((*alone)->generator() == (*watched)->generator());
    EXPECT_TRUE(std::ranges::equal((*alone)->field(), (*watched)->field()));
    EXPECT_TRUE(std::ranges::equal((*alone)->inhibitor(), (*watched)->inhibitor()));
  }
}

// Also with borrowed cores, and in either precision, once there is room for what they need.
void ExpectNoAllocations(const SimulationConfig& config) {
  Cores cores(2);
  auto simulation = Simulation::Create(config);
  ASSERT_TRUE(simulation.ok());
  (*simulation)->SetCores(&cores);
  FeatureAccumulator& features = (*simulation)->features();
  ASSERT_TRUE(features.Reset(config.grid_size, {}).ok());
  ASSERT_TRUE((*simulation)->Run(20).ok());
  ASSERT_TRUE((*simulation)->Run(20, {}, {}, &features).ok());
  const uint64_t before = AllocationsSoFar();
  ASSERT_TRUE((*simulation)->Run(20).ok());
  ASSERT_TRUE((*simulation)->Run(20, {}, {}, &features).ok());
  EXPECT_EQ(AllocationsSoFar() - before, 0u) << config.grid_size;
  ASSERT_TRUE((*simulation)->Reset(config).ok());
  EXPECT_EQ(AllocationsSoFar() - before, 0u) << config.grid_size;
}

TEST(SimulationThreadsTest, SteppingAllocatesNothing) {
  SimulationConfig config;
  config.seed = Seed(1);
  for (int64_t n : {64, 260}) {
    for (bool jitter : {false, true}) {
      for (Precision precision : {Precision::kExact, Precision::kFast}) {
        config.grid_size = n;
        config.quantum_jitter = jitter;
        config.precision = precision;
        ExpectNoAllocations(config);
      }
    }
  }
}

}  // namespace
}  // namespace mfn::engine
