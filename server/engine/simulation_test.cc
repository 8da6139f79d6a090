// Stepping, observing, cancelling, restarting, and starting from a caller's field.

#include "server/engine/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "server/engine/run.h"

namespace mfn::engine {
namespace {

std::vector<double> Copy(std::span<const double> values) {
  return std::vector<double>(values.begin(), values.end());
}

SimulationConfig LivelyConfig(Boundary boundary = Boundary::kPeriodic) {
  SimulationConfig config;
  config.grid_size = 25;  // not a power of two: spikes leave a buffered half behind
  config.steps = 40;
  config.quantum_jitter = true;
  config.r_activator = 0.1;
  config.r_inhibitor = 0.001;
  config.turing_threshold = 0.5;
  config.spike_probability = 0.7;
  config.boundary = boundary;
  config.seed = Seed(77);
  return config;
}

std::unique_ptr<Simulation> MustCreate(const SimulationConfig& config) {
  auto simulation = Simulation::Create(config);
  EXPECT_TRUE(simulation.ok());
  return std::move(*simulation);
}

void ExpectSame(const Simulation& a, const Simulation& b) {
  EXPECT_EQ(Copy(a.field()), Copy(b.field()));
  EXPECT_EQ(Copy(a.activator()), Copy(b.activator()));
  EXPECT_EQ(Copy(a.inhibitor()), Copy(b.inhibitor()));
  EXPECT_TRUE(a.generator() == b.generator());
}

TEST(SimulationTest, StepByStepEqualsOneRun) {
  for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
    const SimulationConfig config = LivelyConfig(boundary);
    auto stepped = MustCreate(config);
    for (int64_t k = 0; k < config.steps; ++k) ASSERT_TRUE(stepped->Step().ok());
    auto whole = MustCreate(config);
    EXPECT_EQ(*whole->Run(config.steps), config.steps);
    ExpectSame(*stepped, *whole);
    EXPECT_EQ(stepped->counters(), whole->counters());
  }
}

// One step against section 3.3 written down cell by cell, with index arithmetic instead of rows.
class NaiveStep {
 public:
  explicit NaiveStep(const Simulation& s)
      : config_(s.config()),
        n_(s.grid_size()),
        v_(Copy(s.field())),
        a_(Copy(s.activator())),
        i_(Copy(s.inhibitor())),
        generator_(s.generator()) {}

  double At(const std::vector<double>& f, int64_t i, int64_t j, double own) const {
    const bool inside = i >= 0 && i < n_ && j >= 0 && j < n_;
    if (inside) return f[i * n_ + j];
    if (config_.boundary == Boundary::kNeumann) return own;
    if (config_.boundary == Boundary::kDirichlet) return 0.0;
    return f[((i + n_) % n_) * n_ + (j + n_) % n_];
  }

  double Lap(const std::vector<double>& f, int64_t i, int64_t j) const {
    const double own = f[i * n_ + j];
    const int64_t d = config_.boundary == Boundary::kDirichlet ? 1 : -1;
    return (((At(f, i + d, j, own) + At(f, i - d, j, own)) + At(f, i, j + d, own)) +
            At(f, i, j - d, own)) -
           (4.0 * own);
  }

  std::vector<double> Run() {
    if (generator_.Random() < config_.spike_probability) {
      const auto i = static_cast<int64_t>(generator_.Integers(n_));
      const auto j = static_cast<int64_t>(generator_.Integers(n_));
      v_[i * n_ + j] = v_[i * n_ + j] + generator_.Normal(0.02, 0.005);
    }
    std::vector<double> next = v_;
    const double s = std::sqrt(config_.jitter_var);
    for (int64_t k = 0; k < n_ * n_; ++k) {
      const int64_t i = k / n_;
      const int64_t j = k % n_;
      next[k] = v_[k] + (config_.alpha * Lap(v_, i, j));
      const double new_a = a_[k] + ((config_.d_activator * Lap(a_, i, j)) +
                                    (config_.r_activator * ((a_[k] * (1 - a_[k])) - i_[k])));
      if (config_.turing_enabled && new_a > config_.turing_threshold) next[k] = next[k] + 0.005;
      if (config_.quantum_jitter) next[k] = next[k] + (0 + s * generator_.StandardNormal());
      next[k] = std::min(std::max(next[k], -0.095), 0.040);
    }
    return next;
  }

 private:
  SimulationConfig config_;
  int64_t n_;
  std::vector<double> v_, a_, i_;
  Generator generator_;
};

TEST(SimulationTest, EveryBoundaryFollowsTheModelCellByCell) {
  for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
    for (int64_t n : {4, 5, 17}) {
      SimulationConfig config = LivelyConfig(boundary);
      config.grid_size = n;
      auto simulation = MustCreate(config);
      for (int k = 0; k < 30; ++k) {
        NaiveStep naive(*simulation);
        ASSERT_TRUE(simulation->Step().ok());
        ASSERT_EQ(Copy(simulation->field()), naive.Run())
            << BoundaryName(boundary) << " n " << n << " step " << k;
      }
    }
  }
}

TEST(SimulationTest, AStateTakenAtAnyStepContinuesExactly) {
  const SimulationConfig config = LivelyConfig();
  for (int64_t taken_at : {0, 1, 17}) {
    auto original = MustCreate(config);
    ASSERT_TRUE(original->Run(taken_at).ok());
    const InitialState state = {original->field(), original->activator(), original->inhibitor(),
                                original->generator()};
    auto resumed = Simulation::CreateFrom(config, state);
    ASSERT_TRUE(resumed.ok());
    ASSERT_TRUE(original->Run(config.steps).ok());
    ASSERT_TRUE((*resumed)->Run(config.steps).ok());
    ExpectSame(*original, **resumed);
    EXPECT_EQ((*resumed)->counters().steps_computed, config.steps);
  }
}

TEST(SimulationTest, NothingIsDrawnForWhatTheCallerGives) {
  SimulationConfig config = LivelyConfig();
  const std::vector<double> field(625, -0.07);
  auto simulation = Simulation::CreateFrom(
      config, {.field = field, .activator = {}, .inhibitor = {}, .generator = {}});
  ASSERT_TRUE(simulation.ok());
  EXPECT_EQ(Copy((*simulation)->field()), field);
  Generator expected(*config.seed);
  std::vector<double> chemistry(625);
  expected.FillUniform(chemistry, 0.0, 0.1);
  EXPECT_EQ(Copy((*simulation)->activator()), chemistry);
  expected.FillUniform(chemistry, 0.0, 0.1);
  EXPECT_EQ(Copy((*simulation)->inhibitor()), chemistry);
  EXPECT_TRUE((*simulation)->generator() == expected);
}

TEST(SimulationTest, RefusesInitialFieldsOfTheWrongSizeOrNotFinite) {
  const SimulationConfig config = LivelyConfig();
  const std::vector<double> good(625, -0.07);
  const std::vector<double> small(624, -0.07);
  std::vector<double> bad = good;
  const auto field_of = [&config](std::span<const double> v, std::span<const double> a,
                                  std::span<const double> i) {
    auto result = Simulation::CreateFrom(config, {v, a, i, {}});
    if (result.ok()) return std::string("ok");
    EXPECT_EQ(result.error().kind, ErrorKind::kInvalidArgument);
    return result.error().field;
  };
  EXPECT_EQ(field_of(good, good, good), "ok");
  EXPECT_EQ(field_of({}, {}, {}), "ok");
  EXPECT_EQ(field_of(small, {}, {}), "initial_field");
  EXPECT_EQ(field_of(good, small, {}), "initial_activator");
  EXPECT_EQ(field_of(good, {}, small), "initial_inhibitor");
  for (double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    bad[600] = value;
    EXPECT_EQ(field_of(bad, {}, {}), "initial_field");
    EXPECT_EQ(field_of(good, good, bad), "initial_inhibitor");
  }
}

TEST(SimulationTest, ObserverSeesEveryStepAndMayStop) {
  auto simulation = MustCreate(LivelyConfig());
  std::vector<int64_t> steps;
  const auto done = simulation->Run(40, [&](const StepView& view) {
    EXPECT_EQ(view.field.data(), simulation->field().data());
    EXPECT_EQ(view.counters, simulation->counters());
    EXPECT_EQ(view.activator.size(), 625u);
    steps.push_back(view.step);
    return view.step < 5;
  });
  EXPECT_EQ(*done, 5);
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(*simulation->Run(2), 2);
  EXPECT_EQ(simulation->counters().steps_computed, 7);
}

TEST(SimulationTest, CancelLeavesTheLastFullStep) {
  auto simulation = MustCreate(LivelyConfig());
  int polls = 0;
  const auto result = simulation->Run(40, {}, [&polls] { return ++polls > 10; });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(result.error().step, 10);
  auto reference = MustCreate(LivelyConfig());
  ASSERT_TRUE(reference->Run(10).ok());
  ExpectSame(*simulation, *reference);
  EXPECT_TRUE(simulation->Step().ok());
}

TEST(SimulationTest, NaNInTheRatesIsFoundInTheFirstStepAndStays) {
  SimulationConfig config = LivelyConfig();
  config.d_inhibitor = std::nan("");
  auto simulation = MustCreate(config);
  const auto first = simulation->Step();
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(first.error().kind, ErrorKind::kNumericalInstability);
  EXPECT_EQ(first.error().field, "inhibitor");
  EXPECT_EQ(first.error().step, 0);
  EXPECT_EQ(first.error().count, 625);
  EXPECT_EQ(simulation->Step().error().message, first.error().message);

  config.check_stability = false;
  EXPECT_TRUE(MustCreate(config)->Step().ok());
  config.alpha = std::nan("");
  config.check_stability = true;
  EXPECT_EQ(MustCreate(config)->Step().error().field, "field");
}

TEST(SimulationTest, ResetStartsOverAtAnySize) {
  Simulation reused;
  EXPECT_FALSE(reused.Step().ok());
  for (int64_t n : {25, 40, 8, 25}) {
    SimulationConfig config = LivelyConfig();
    config.grid_size = n;
    config.turing_enabled = n != 8;
    ASSERT_TRUE(reused.Reset(config).ok());
    ASSERT_TRUE(reused.Run(20).ok());
    auto fresh = MustCreate(config);
    ASSERT_TRUE(fresh->Run(20).ok());
    ExpectSame(reused, *fresh);
    EXPECT_EQ(reused.counters(), fresh->counters());
  }
  SimulationConfig bad;
  bad.grid_size = 3;
  EXPECT_FALSE(reused.Reset(bad).ok());
  EXPECT_FALSE(reused.Step().ok());
}

}  // namespace
}  // namespace mfn::engine
