// Samples against the golden ones, presets, and what is refused.

#include "server/engine/math/sampler.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/engine/math/golden_test_util.h"
#include "server/engine/math/seed_offset.h"

namespace mfn::engine {
namespace {

SamplerParams GoldenParams(const Json& c) {
  SamplerParams params;
  if (c.contains("grid_sizes")) params.grid_sizes = c.at("grid_sizes").get<std::vector<int64_t>>();
  if (c.contains("steps_range")) {
    params.steps_min = c.at("steps_range")[0].get<int64_t>();
    params.steps_max = c.at("steps_range")[1].get<int64_t>();
  }
  if (c.contains("base_seed")) params.base_seed = Seed(c.at("base_seed").get<uint64_t>());
  return params;
}

TEST(Sampler, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("dataset_sampler")) {
    SCOPED_TRACE(c.at("params").dump());
    const Json& samples = c.at("samples");
    const auto items =
        SampleConfigs(GoldenParams(c.at("params")), static_cast<int64_t>(samples.size()));
    ASSERT_TRUE(items.ok());
    for (size_t k = 0; k < samples.size(); ++k) {
      const SweepItem& item = (*items)[k];
      EXPECT_EQ(item.sim_id, samples[k].at("sim_id").get<int64_t>());
      EXPECT_EQ(item.config.grid_size, samples[k].at("grid_size").get<int64_t>());
      EXPECT_EQ(item.config.steps, samples[k].at("steps").get<int64_t>());
      EXPECT_EQ(item.config.alpha, ToDouble(samples[k].at("alpha")));
      EXPECT_EQ(item.config.turing_enabled, samples[k].at("turing_enabled").get<bool>());
      EXPECT_EQ(item.config.spike_probability, ToDouble(samples[k].at("spike_probability")));
      EXPECT_EQ(item.config.turing_threshold, ToDouble(samples[k].at("turing_threshold")));
      EXPECT_EQ(item.config.seed->ToString(), samples[k].at("random_seed").get<std::string>());
    }
  }
}

TEST(Sampler, NamesTheBrokenRule) {
  const auto field = [](const auto& change) {
    SamplerParams params;
    change(params);
    const auto result = SampleConfigs(params, 1);
    return result.ok() ? "ok" : result.error().field;
  };
  EXPECT_EQ(field([](SamplerParams& p) { p.alpha_max = 0.25; }), "alpha_max");
  EXPECT_EQ(field([](SamplerParams& p) { p.grid_sizes = {64, 3}; }), "grid_sizes");
  EXPECT_EQ(field([](SamplerParams& p) { p.grid_sizes.clear(); }), "grid_sizes");
  EXPECT_EQ(field([](SamplerParams& p) { p.steps_min = 0; }), "steps_min");
  EXPECT_EQ(field([](SamplerParams& p) { p.steps_max = 49; }), "steps_max");
  EXPECT_EQ(field([](SamplerParams& p) { p.turing_values.clear(); }), "turing_values");
  EXPECT_EQ(field([](SamplerParams& p) { p.spike_min = 0.5; }), "spike_min");
  EXPECT_EQ(
      field([](SamplerParams& p) { p.threshold_min = std::numeric_limits<double>::quiet_NaN(); }),
      "threshold_min");
  EXPECT_EQ(field([](SamplerParams&) {}), "ok");
  EXPECT_EQ(SampleConfigs({}, kMaxSweepItems + 1).error().field, "num_samples");
  EXPECT_EQ(SampleConfigs({}, -1).error().field, "num_samples");
}

TEST(Scenario, RepeatsAlphasAndSeedsUntilItHasEnough) {
  const auto preset = FindScenario("medium");
  ASSERT_TRUE(preset.ok());
  const auto items = ScenarioConfigs(*preset, Seed(100));
  ASSERT_EQ(items.size(), 100u);
  EXPECT_EQ(items[2].config.alpha, 0.10);
  EXPECT_EQ(items[3].config.alpha, 0.15);
  EXPECT_EQ(items[8].config.alpha, 0.20);
  EXPECT_EQ(items[9].config.alpha, 0.10);
  EXPECT_EQ(items[99].config.seed->ToString(), "199");
  for (const SweepItem& item : items) EXPECT_TRUE(ValidateRun(item.config).ok());
  EXPECT_EQ(FindScenario("huge").error().field, "preset");
}

TEST(OffsetSeed, CarriesThroughLimbs) {
  const Seed big = Seed::FromDecimal("340282366920938463463374607431768211455").value();
  EXPECT_EQ(OffsetSeed(big, 1).ToString(), "340282366920938463463374607431768211456");
  EXPECT_EQ(OffsetSeed(Seed(), 0).ToString(), "0");
  EXPECT_EQ(OffsetSeed(Seed(1), UINT64_MAX).ToString(), "18446744073709551616");
  EXPECT_EQ(OffsetSeed(Seed(UINT64_MAX), UINT64_MAX).ToString(), "36893488147419103230");
}

}  // namespace
}  // namespace mfn::engine
