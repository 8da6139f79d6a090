// Every instruction set that this processor can run, one after the other: the golden vectors, and
// the same bits as the best one for everything that runs in vectors.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "server/engine/golden_test_util.h"
#include "server/engine/run.h"
#include "server/engine/run_test_util.h"
#include "server/engine/stepper.h"
#include "server/engine/sum.h"
#include "server/engine/targets_test_util.h"

namespace mfn::engine {
namespace {

TEST(TargetsTest, GoldenSimulations) {
  for (const char* file : {"sim.json", "engine.json"}) {
    for (const nlohmann::json& c : GoldenCases(file)) {
      SCOPED_TRACE(c["name"].get<std::string>());
      SimulationConfig config;
      ReadConfig(c["config"], &config);
      const nlohmann::json& expect = c["expect"];
      ForEachTarget([&] {
        RunOptions options;
        options.chemistry = true;
        options.history = true;
        const auto run = RunSimulation(config, options);
        ASSERT_TRUE(run.ok());
        EXPECT_EQ(DigestOf(run->field), expect["sha256"]["field"]);
        EXPECT_EQ(DigestOf(run->activator), expect["sha256"]["activator"]);
        EXPECT_EQ(DigestOf(run->inhibitor), expect["sha256"]["inhibitor"]);
        EXPECT_EQ(DigestOf(run->history), expect["sha256"]["history"]);
        EXPECT_EQ(run->counters.turing_activations, expect["turing_activations"]);
        EXPECT_EQ(run->counters.clamping_events, expect["clamping_events"]);
        EXPECT_EQ(run->statistics.field_mean_v, GoldenNumber(expect["field_mean_v"]));
        EXPECT_EQ(run->statistics.field_std_v, GoldenNumber(expect["field_std_v"]));
      });
    }
  }
}

TEST(TargetsTest, GoldenNormals) {
  for (const nlohmann::json& c : GoldenCases("rng.json")) {
    ForEachTarget([&c] {
      std::vector<double> normals(100'000);
      Generator(GoldenSeed(c["seed"])).FillStandardNormal(normals);
      EXPECT_EQ(DigestOf(normals), c["bulk"]["sha256_100000_standard_normal"]);
    });
  }
}

// Features too, also those without golden bits, so that a digest does not depend on the machine.
TEST(TargetsTest, EveryBitIsTheSameOnAll) {
  for (int64_t n : {4, 5, 7, 9, 15, 16, 17, 31, 48, 64, 65, 100, 128, 192, 260}) {
    for (bool jitter : {false, true}) {
      SimulationConfig config;
      config.grid_size = n;
      config.steps = n > 200 ? 12 : n > 100 ? 30 : 40;
      config.spike_probability = 0.7;
      config.quantum_jitter = jitter;
      config.r_activator = 0.1;
      config.r_inhibitor = 0.001;
      config.turing_threshold = 0.5;
      config.seed = Seed(static_cast<uint64_t>(n));
      for (const Precision precision : {Precision::kExact, Precision::kFast}) {
        config.precision = precision;
        const std::vector<double> best = EverythingOf(config);
        ForEachTarget([&] { EXPECT_EQ(EverythingOf(config), best) << n << " " << jitter; });
      }
    }
  }
}

// A run that nobody looks on at may put its cells in another order and take several steps at once.
TEST(TargetsTest, RunsAloneEqualRunsWithAnObserver) {
  for (int64_t n : {16, 64, 72, 128, 256}) {
    for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
      SimulationConfig config;
      config.grid_size = n;
      config.boundary = boundary;
      config.steps = 60;
      config.spike_probability = 0.7;
      config.r_activator = 0.1;
      config.r_inhibitor = 0.001;
      config.turing_threshold = 0.5;
      config.turing_enabled = n != 72;
      config.seed = Seed(static_cast<uint64_t>(n));
      RunOptions options;
      options.chemistry = true;
      options.observer = [](const StepView&) { return true; };
      const auto observed = RunSimulation(config, options);
      ASSERT_TRUE(observed.ok()) << observed.error().message;
      options.observer = nullptr;
      ForEachTarget([&] {
        const auto alone = RunSimulation(config, options);
        ASSERT_TRUE(alone.ok());
        EXPECT_EQ(alone->field, observed->field) << n;
        EXPECT_EQ(alone->activator, observed->activator) << n;
        EXPECT_EQ(alone->inhibitor, observed->inhibitor) << n;
        EXPECT_EQ(alone->counters, observed->counters) << n;
      });
    }
  }
}

// Steps whose features are taken in as they go, against frames that are added one by one: spikes in
// every band, at its borders and inside, some beyond the clamp; then calm, until the field is
// stable.
void CompareFeaturesByBands(size_t n, const KernelParams& params, double chemical_max) {
  constexpr size_t kSpiked = 120;
  Stepper<double> bands, plain;
  for (Stepper<double>* grid : {&bands, &plain}) {
    grid->Resize(n);
    Generator generator(n);
    generator.FillNormal(grid->field(), kInitialMeanV, kInitialSdV);
    generator.FillUniform(grid->activator(), 0.0, chemical_max);
    generator.FillUniform(grid->inhibitor(), 0.0, chemical_max);
  }
  FeatureAccumulator taken, added;
  ASSERT_TRUE(taken.Reset(static_cast<int64_t>(n), {}).ok());
  ASSERT_TRUE(added.Reset(static_cast<int64_t>(n), {}).ok());
  bands.Arrange(params, kSpiked, true);
  Generator unused(uint64_t{0});
  const size_t steps = n == 64 ? 500 : 150;
  for (size_t s = 0; s < steps; ++s) {
    std::optional<Spike> spike;
    const size_t row = (s % 40 * n / 16 + s / 40 + n - 1) % n;  // before, at and after each border
    if (s < kSpiked) spike = Spike{row, s * 7 % n, s % 5 == 4 ? 0.15 : 0.02};
    EXPECT_EQ(bands.Step(params, spike, unused, &taken),
              plain.Step(params, spike, unused, nullptr));
    ASSERT_TRUE(added.AddFrame(plain.field()).ok());
    const FeatureState got = taken.State(), want = added.State();
    EXPECT_EQ(got.change_max, want.change_max) << s;
    EXPECT_EQ(got.change_sum, want.change_sum) << s;
    EXPECT_EQ(got.pending, want.pending) << s;
    EXPECT_EQ(got.energy_covariance, want.energy_covariance) << s;
    ASSERT_EQ(got.stable_run, want.stable_run) << s;
  }
  bands.ArrangeByColumns(params);
  EXPECT_TRUE(std::ranges::equal(bands.field(), plain.field()));
}

TEST(TargetsTest, FeaturesTakenInWhileSteppingAreThoseOfTheFrames) {
  KernelParams calm;
  KernelParams firing;  // activators rise to the threshold, some only later
  firing.r_activator = 0.1;
  firing.r_inhibitor = 0.001;
  firing.turing_threshold = 0.5;
  for (size_t n : {64, 128}) {
    ForEachTarget([&] {
      CompareFeaturesByBands(n, calm, kInitialChemicalMax);
      CompareFeaturesByBands(n, firing, kInitialChemicalMax);
      CompareFeaturesByBands(n, calm, 1.0);
    });
  }
}

}  // namespace
}  // namespace mfn::engine
