// Every golden simulation, bit for bit: initial state, final state, history, counters, statistics,
// generator afterwards, and features.

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "server/engine/golden_test_util.h"
#include "server/engine/run.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

using nlohmann::json;

class SimulationGoldenTest : public testing::TestWithParam<const char*> {
 protected:
  template <typename Check>
  void ForEachCase(Check check) {
    for (const json& c : GoldenCases(GetParam())) {
      SCOPED_TRACE(c["name"].get<std::string>());
      SimulationConfig config;
      ReadConfig(c["config"], &config);
      check(config, c["expect"]);
    }
  }
};

RunResult MustRun(const SimulationConfig& config, const RunOptions& options) {
  auto result = RunSimulation(config, options);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result.ok() ? std::move(*result) : RunResult{};
}

double LargestEnergy(const RunResult& run) {
  const size_t cells = run.field.size();
  double largest = 0.0;
  for (size_t begin = 0; begin < run.history.size(); begin += cells) {
    const double* frame = run.history.data() + begin;
    largest = std::max(largest, SumOf(cells, [frame](size_t k) {
                         return (frame[k] * 1000.0) * (frame[k] * 1000.0);
                       }));
  }
  return largest;
}

TEST_P(SimulationGoldenTest, InitialStateIsDrawnInOrder) {
  ForEachCase([](const SimulationConfig& config, const json& expect) {
    auto simulation = Simulation::Create(config);
    ASSERT_TRUE(simulation.ok());
    const json& init = expect["init"];
    EXPECT_EQ((*simulation)->field()[0], GoldenNumber(init["field_0_0"]));
    EXPECT_EQ(DigestOf((*simulation)->field()), init["field"]);
    EXPECT_EQ(DigestOf((*simulation)->activator()), init["activator"]);
    EXPECT_EQ(DigestOf((*simulation)->inhibitor()), init["inhibitor"]);
  });
}

TEST_P(SimulationGoldenTest, FieldsCountersAndStatistics) {
  ForEachCase([](const SimulationConfig& config, const json& expect) {
    RunOptions options;
    options.history = true;
    options.chemistry = true;
    const RunResult run = MustRun(config, options);
    EXPECT_EQ(run.counters.growth_events, expect["growth_events"]);
    EXPECT_EQ(run.counters.turing_activations, expect["turing_activations"]);
    EXPECT_EQ(run.counters.clamping_events, expect["clamping_events"]);
    EXPECT_EQ(run.counters.steps_computed, expect["steps_computed"]);
    for (const json& cell : expect["cells"]) {
      const size_t at = cell[0].get<size_t>() * static_cast<size_t>(config.grid_size);
      EXPECT_EQ(run.field[at + cell[1].get<size_t>()], GoldenNumber(cell[2])) << cell;
    }
    EXPECT_EQ(DigestOf(run.field), expect["sha256"]["field"]);
    EXPECT_EQ(DigestOf(run.activator), expect["sha256"]["activator"]);
    EXPECT_EQ(DigestOf(run.inhibitor), expect["sha256"]["inhibitor"]);
    EXPECT_EQ(DigestOf(run.history), expect["sha256"]["history"]);
    EXPECT_EQ(run.statistics.field_min_v, GoldenNumber(expect["field_min_v"]));
    EXPECT_EQ(run.statistics.field_max_v, GoldenNumber(expect["field_max_v"]));
    EXPECT_EQ(run.statistics.field_mean_v, GoldenNumber(expect["field_mean_v"]));
    EXPECT_EQ(run.statistics.field_std_v, GoldenNumber(expect["field_std_v"]));
    EXPECT_EQ(run.statistics.activator_mean, GoldenNumber(expect["activator_mean"]));
    EXPECT_EQ(run.statistics.inhibitor_mean, GoldenNumber(expect["inhibitor_mean"]));
  });
}

TEST_P(SimulationGoldenTest, GeneratorAfterwards) {
  ForEachCase([](const SimulationConfig& config, const json& expect) {
    auto simulation = Simulation::Create(config);
    ASSERT_TRUE(simulation.ok());
    ASSERT_TRUE((*simulation)->Run(config.steps).ok());
    Generator after = (*simulation)->generator();
    const json& want = expect["rng_after"];
    EXPECT_EQ(after.has_uint32(), want["has_uint32"].get<int>() != 0);
    if (after.has_uint32()) {
      EXPECT_EQ(after.uinteger(), want["uinteger"].get<uint32_t>());
    }
    EXPECT_EQ(after.Random(), GoldenNumber(want["next_double"]));
  });
}

TEST_P(SimulationGoldenTest, StreamedFeaturesEqualThoseOfTheHistoryAndTheGoldenOnes) {
  ForEachCase([](const SimulationConfig& config, const json& expect) {
    RunOptions options;
    options.history = true;
    options.features = FeatureConfig{};
    const RunResult run = MustRun(config, options);
    ASSERT_TRUE(run.features.has_value());
    const double energy = LargestEnergy(run);
    ExpectFeatures(*run.features, expect["features_history"], energy);
    const auto from_history = ExtractFeatures(run.history, config.steps, config.grid_size);
    ASSERT_TRUE(from_history.ok());
    EXPECT_EQ(run.features->ToArray(), from_history->ToArray());

    const auto from_final = ExtractFeatures(run.field, 1, config.grid_size);
    ASSERT_TRUE(from_final.ok());
    ExpectFeatures(*from_final, expect["features_final"], energy);

    options.history = false;
    EXPECT_EQ(MustRun(config, options).features->ToArray(), run.features->ToArray());
  });
}

INSTANTIATE_TEST_SUITE_P(Golden, SimulationGoldenTest, testing::Values("sim.json", "engine.json"));

}  // namespace
}  // namespace mfn::engine
