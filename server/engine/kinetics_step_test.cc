// The step of every chemistry against plain loops, bit for bit: on each instruction set, at every
// boundary, by tiles and threads, and when it blows up.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/engine/kinetics_test_util.h"
#include "server/engine/simulation.h"
#include "server/engine/stepper.h"
#include "server/engine/targets_test_util.h"

namespace mfn::engine {
namespace {

const Kinetics kAll[] = {Mfn{},
                         GrayScott{},
                         Schnakenberg{},
                         GiererMeinhardt{.saturation = 0.25},
                         FitzHughNagumo{.a0 = -0.1},
                         Brusselator{}};

template <typename T>
struct State {
  std::vector<T> field, activator, inhibitor;
  bool operator==(const State&) const = default;
};

template <typename T>
State<T> StateOf(const Stepper<T>& grid) {
  const auto copy = [](std::span<const T> s) { return std::vector<T>(s.begin(), s.end()); };
  return {copy(grid.field()), copy(grid.activator()), copy(grid.inhibitor())};
}

KernelParams ParamsFor(const Kinetics& kinetics) {
  KernelParams params;
  params.kinetics = kinetics;
  params.time_step = 0.01;
  params.d_activator = 0.03;
  params.d_inhibitor = 0.2;
  params.turing_threshold = 0.9;  // about half of the cells of Fill
  return params;
}

// Values of both species in (0.5, 1.3), which all of them survive for some steps.
template <typename T>
void Fill(Stepper<T>& grid, size_t n) {
  grid.Resize(n);
  Generator generator(n);
  std::vector<double> values(n * n);
  generator.FillNormal(values, -0.07, 0.03);
  std::copy(values.begin(), values.end(), grid.field().begin());
  for (const std::span<T> species : {grid.activator(), grid.inhibitor()}) {
    generator.FillUniform(values, 0.5, 1.3);
    std::copy(values.begin(), values.end(), species.begin());
  }
}

template <typename T>
class NaiveGrid {
 public:
  NaiveGrid(const KernelParams& p, size_t n, State<T> state)
      : p_(p), n_(static_cast<ptrdiff_t>(n)), state_(std::move(state)) {}

  void Step() {
    State<T> next = state_;
    for (ptrdiff_t k = 0; k < n_ * n_; ++k) {
      const T a = state_.activator[k];
      const T i = state_.inhibitor[k];
      const auto [more_a, more_i] = std::visit(Reaction<T>{p_, a, i}, p_.kinetics);
      T& v = next.field[k];
      v = v + (static_cast<T>(p_.alpha) * Lap(state_.field, k));
      next.activator[k] =
          a + ((static_cast<T>(p_.d_activator) * Lap(state_.activator, k)) + more_a);
      next.inhibitor[k] =
          i + ((static_cast<T>(p_.d_inhibitor) * Lap(state_.inhibitor, k)) + more_i);
      if (next.activator[k] > static_cast<T>(p_.turing_threshold)) {
        v = v + static_cast<T>(0.005);
        ++counts.turing_activations;
      }
      const T free = v;
      v = std::min(std::max(v, static_cast<T>(-0.095)), static_cast<T>(0.040));
      counts.clamping_events += v != free ? 1 : 0;
      if (!std::holds_alternative<Mfn>(p_.kinetics)) continue;
      next.activator[k] = std::min(std::max(next.activator[k], T{0}), T{1});
      next.inhibitor[k] = std::min(std::max(next.inhibitor[k], T{0}), T{1});
    }
    state_ = std::move(next);
  }

  const State<T>& state() const { return state_; }
  StepCounts counts;

 private:
  T At(const std::vector<T>& f, ptrdiff_t row, ptrdiff_t column, T own) const {
    if (row >= 0 && row < n_ && column >= 0 && column < n_) return f[row * n_ + column];
    if (p_.boundary == Boundary::kNeumann) return own;
    if (p_.boundary == Boundary::kDirichlet) return T{0};
    return f[(row + n_) % n_ * n_ + (column + n_) % n_];
  }

  T Lap(const std::vector<T>& f, ptrdiff_t k) const {
    const ptrdiff_t row = k / n_;
    const ptrdiff_t column = k % n_;
    const ptrdiff_t d = p_.boundary == Boundary::kDirichlet ? 1 : -1;
    const T own = f[k];
    return (((At(f, row + d, column, own) + At(f, row - d, column, own)) +
             At(f, row, column + d, own)) +
            At(f, row, column - d, own)) -
           (4 * own);
  }

  const KernelParams& p_;
  const ptrdiff_t n_;
  State<T> state_;
};

template <typename T>
void CompareWithLoops(const KernelParams& params, size_t n, size_t steps, size_t threads) {
  Stepper<T> grid;
  Fill(grid, n);
  NaiveGrid<T> naive(params, n, StateOf(grid));
  StepCounts counts;
  Generator unused(uint64_t{0});
  for (size_t s = 0; s < steps; ++s) naive.Step();
  if (threads == 0) {
    for (size_t s = 0; s < steps; ++s) counts += grid.Step(params, {}, unused, nullptr);
  } else {
    Team team(threads);
    ASSERT_GE(grid.StepsAtOnce(params, threads), steps);
    counts = grid.StepMany(params, steps, {}, team);
  }
  const std::string what = "kinetics " + std::to_string(params.kinetics.index()) + " n " +
                           std::to_string(n) + " threads " + std::to_string(threads);
  EXPECT_TRUE(StateOf(grid) == naive.state()) << what;
  EXPECT_EQ(counts, naive.counts) << what;
  if (n < 16) return;
  EXPECT_GT(counts.turing_activations, 0) << what;
  EXPECT_GT(counts.clamping_events, 0) << what;
}

TEST(KineticsStepTest, EveryInstructionSetEqualsPlainLoops) {
  for (const Kinetics& kinetics : kAll) {
    KernelParams params = ParamsFor(kinetics);
    ForEachTarget([&params] {
      for (size_t n : {1, 4, 7, 16, 33}) {
        CompareWithLoops<double>(params, n, 3, 0);
        CompareWithLoops<float>(params, n, 3, 0);
      }
    });
    params.boundary = Boundary::kNeumann;
    CompareWithLoops<double>(params, 17, 3, 0);
    params.boundary = Boundary::kDirichlet;
    CompareWithLoops<double>(params, 17, 3, 0);
  }
}

TEST(KineticsStepTest, TilesAndThreadsEqualPlainLoops) {
  for (const Kinetics& kinetics : kAll) {
    for (size_t threads : {1, 2, 3}) {
      CompareWithLoops<double>(ParamsFor(kinetics), 261, 5, threads);
    }
    CompareWithLoops<float>(ParamsFor(kinetics), 330, 3, 2);
  }
}

// A row of one column, or tiles cut by columns as well.
TEST(KineticsStepTest, WideGridsToo) {
  CompareWithLoops<double>(ParamsFor(GrayScott{}), 1030, 4, 1);
}

// All ways of stepping find the same cells in the same step.
TEST(KineticsStepTest, ABlowUpIsFoundInItsStepWhereverItIsMet) {
  for (const Kinetics& kinetics :
       {Kinetics(GrayScott{}), Kinetics(Schnakenberg{}), Kinetics(GiererMeinhardt{}),
        Kinetics(FitzHughNagumo{}), Kinetics(Brusselator{})}) {
    SCOPED_TRACE(kinetics.index());
    SimulationConfig config;
    config.grid_size = 260;
    config.seed = Seed(3);
    config.kinetics = kinetics;
    config.turing_threshold = 1e6;
    config.time_step = DefaultTimeStep(kinetics);
    config.spike_probability = 1.0;
    const std::vector<double> ones(260 * 260, 1.0);
    std::vector<double> high = ones;
    high[12345] = 1e100;  // overflows in the second step
    const std::vector<double> resting(260 * 260, -0.07);
    const InitialState initial = {
        .field = resting, .activator = high, .inhibitor = ones, .generator = {}};
    const auto run = [&](size_t threads, bool watched) {
      auto simulation = Simulation::CreateFrom(config, initial);
      EXPECT_TRUE(simulation.ok());
      (*simulation)->SetThreads(threads);
      StepObserver observer;
      if (watched) observer = [](const StepView&) { return true; };
      auto result = (*simulation)->Run(40, observer);
      EXPECT_FALSE(result.ok());
      return std::pair(result.ok() ? Error{} : result.error(), std::move(*simulation));
    };
    const auto [expected, alone] = run(1, true);
    EXPECT_EQ(expected.kind, ErrorKind::kNumericalInstability);
    EXPECT_EQ(expected.step, 1);
    for (size_t threads : {1, 2}) {
      const auto [error, tiled] = run(threads, false);
      EXPECT_EQ(error.message, expected.message);
      EXPECT_EQ(error.step, expected.step);
      EXPECT_EQ(tiled->counters(), alone->counters());
      EXPECT_TRUE(tiled->generator() == alone->generator());
      EXPECT_TRUE(std::ranges::equal(tiled->field(), alone->field()));
    }
  }
}

}  // namespace
}  // namespace mfn::engine
