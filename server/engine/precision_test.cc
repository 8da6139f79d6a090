// Precision::kFast: how far it is from the exact simulation, and that nothing but the request
// decides its result. The table in README.md has the figures that are printed here.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "server/engine/run.h"

namespace mfn::engine {
namespace {

SimulationConfig ConfigOf(int64_t n, int64_t steps, Precision precision) {
  SimulationConfig config;
  config.grid_size = n;
  config.steps = steps;
  config.precision = precision;
  config.seed = Seed(static_cast<uint64_t>(n));
  return config;
}

RunResult RunIt(const SimulationConfig& config, RunOptions options = {}) {
  options.features.emplace();
  options.chemistry = true;
  auto run = RunSimulation(config, options);
  EXPECT_TRUE(run.ok());
  return run.ok() ? *std::move(run) : RunResult();
}

struct Distance {
  double largest = 0.0;
  double rms = 0.0;
};

Distance DistanceOf(const std::vector<double>& a, const std::vector<double>& b) {
  Distance d;
  double squares = 0.0;
  for (size_t k = 0; k < a.size(); ++k) {
    const double difference = std::fabs(a[k] - b[k]);
    d.largest = std::max(d.largest, difference);
    squares += difference * difference;
  }
  d.rms = std::sqrt(squares / static_cast<double>(a.size()));
  return d;
}

// A feature may differ by `relative` of the exact one, or by `absolute` where that is near 0.
struct FeatureBound {
  double relative;
  double absolute;
};

// Some ten times what was measured. Counts of cells and clusters can change where a cell lies
// within rounding of a threshold.
constexpr std::array<FeatureBound, kFeatureCount> kBounds = {{
    {1e-4, 1e-4},  // D_box
    {1e-4, 1e-4},  // D_r2
    {1e-6, 0.0},   // V_min
    {1e-6, 0.0},   // V_max
    {2e-7, 0.0},   // V_mean
    {1e-5, 0.0},   // V_std
    {0.0, 1e-4},   // V_skew
    {0.0, 1e-4},   // V_kurt
    {5e-6, 0.0},   // dV_mean
    {5e-6, 0.0},   // dV_max
    {0.0, 0.0},    // T_stable
    {3e-5, 0.0},   // E_trend
    {1e-4, 1e-4},  // f_active
    {0.0, 2.0},    // N_clusters_low
    {0.0, 2.0},    // N_clusters_med
    {0.0, 2.0},    // N_clusters_high
    {1e-3, 2.0},   // max_cluster_size
    {1e-3, 1e-2},  // cluster_size_std
}};

void ExpectNear(const Features& exact, const Features& fast) {
  const auto a = exact.ToArray();
  const auto b = fast.ToArray();
  for (size_t k = 0; k < kFeatureCount; ++k) {
    const double difference = std::fabs(a[k] - b[k]);
    std::printf("  %-17s %-14.6g differs by %.2g\n", kFeatureNames[k].data(), a[k], difference);
    EXPECT_LE(difference, kBounds[k].relative * std::fabs(a[k]) + kBounds[k].absolute)
        << kFeatureNames[k] << ": " << a[k] << " and " << b[k];
  }
}

TEST(FastTest, IsNearTheExactSimulation) {
  for (const bool jitter : {false, true}) {
    for (int64_t n : {64, 128, 256}) {
      SimulationConfig config = ConfigOf(n, 100, Precision::kExact);
      config.quantum_jitter = jitter;
      const RunResult exact = RunIt(config);
      config.precision = Precision::kFast;
      const RunResult fast = RunIt(config);
      const Distance v = DistanceOf(exact.field, fast.field);
      const Distance a = DistanceOf(exact.activator, fast.activator);
      std::printf("%d, jitter %d: V %.2g V at most, %.2g rms; A %.2g, %.2g\n", static_cast<int>(n),
                  jitter, v.largest, v.rms, a.largest, a.rms);
      ExpectNear(*exact.features, *fast.features);
      EXPECT_GT(v.largest, 0.0);
      EXPECT_LT(v.largest, 1e-7);
      EXPECT_LT(v.rms, 2e-8);
      EXPECT_LT(a.largest, 1e-7);
      EXPECT_EQ(fast.counters.growth_events, exact.counters.growth_events);
    }
  }
}

TEST(FastTest, HoldsFloats) {
  const RunResult fast = RunIt(ConfigOf(20, 10, Precision::kFast));
  for (const std::vector<double>* values : {&fast.field, &fast.activator, &fast.inhibitor}) {
    for (double v : *values) ASSERT_EQ(v, static_cast<double>(static_cast<float>(v)));
  }
}

TEST(FastTest, ThreadsAndObserversChangeNoBit) {
  for (int64_t n : {65, 352, 1024}) {
    const SimulationConfig config = ConfigOf(n, 20, Precision::kFast);
    const RunResult one = RunIt(config);
    RunOptions options;
    options.chemistry = true;
    for (size_t threads : {1, 2, 3}) {
      options.threads = threads;
      const auto run = RunSimulation(config, options);
      ASSERT_TRUE(run.ok());
      EXPECT_EQ(run->field, one.field) << n << " " << threads;
      EXPECT_EQ(run->activator, one.activator);
      EXPECT_EQ(run->inhibitor, one.inhibitor);
      EXPECT_EQ(run->counters, one.counters);
    }
  }
}

void ExpectFeaturesOfHistory(const SimulationConfig& config, double threshold_mv) {
  SCOPED_TRACE(testing::Message() << config.grid_size << " " << config.quantum_jitter << " "
                                  << threshold_mv << (config.precision == Precision::kFast));
  FeatureConfig feature_config;
  feature_config.stability_threshold_mv = threshold_mv;
  RunOptions options;
  options.features = feature_config;
  const auto alone = RunSimulation(config, options);
  options.history = true;
  const auto run = RunSimulation(config, options);
  ASSERT_TRUE(alone.ok() && run.ok());
  ASSERT_GT(run->counters.growth_events, config.steps / 2);
  const auto features =
      ExtractFeatures(run->history, config.steps, config.grid_size, feature_config);
  ASSERT_TRUE(features.ok());
  EXPECT_EQ(run->features->ToArray(), features->ToArray());
  EXPECT_EQ(alone->features->ToArray(), features->ToArray());
}

// Features take in floats while stepping; the history has them as doubles. 4: less than a block;
// 33, 72: changes are kept, with and without a tail; 64, 128, 192: they are not, and cells lie by
// bands when nobody looks on; 384: tiles go several steps ahead. Both precisions take the same way.
// A spike before nearly every step, and thresholds below which the field is never, later and from
// the start at rest.
TEST(FastTest, FeaturesAreThoseOfItsHistory) {
  for (int64_t n : {4, 33, 64, 72, 128, 192, 384}) {
    for (Precision precision : {Precision::kFast, Precision::kExact}) {
      for (double threshold_mv : {0.001, 0.2, 50.0}) {
        for (bool jitter : {false, true}) {
          SimulationConfig config = ConfigOf(n, n > 128 ? 30 : 60, precision);
          config.spike_probability = 0.9;
          config.quantum_jitter = jitter;
          ExpectFeaturesOfHistory(config, threshold_mv);
        }
      }
    }
  }
}

TEST(FastTest, AnArenaMaySwitch) {
  Simulation arena;
  RunOptions options;
  options.arena = &arena;
  for (const int64_t n : {32, 48, 16}) {
    for (const Precision precision : {Precision::kFast, Precision::kExact}) {
      const SimulationConfig config = ConfigOf(n, 7, precision);
      EXPECT_EQ(RunIt(config, options).field, RunIt(config).field) << n;
    }
  }
}

}  // namespace
}  // namespace mfn::engine
