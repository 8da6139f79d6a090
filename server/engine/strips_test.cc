// Steps in place against steps from one state to another: the same bits, whatever the strips.

#include "server/engine/strips.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "server/engine/stepper.h"
#include "server/engine/stepper_test_util.h"

namespace mfn::engine {
namespace {

// Enough for sweeps in both directions.
constexpr size_t kSteps = 45;

struct Case {
  size_t n = 64;
  size_t threads = 1;
  KernelParams params;
  double chemical_max = 0.1;
};

std::string NameOf(const Case& c) {
  return "n " + std::to_string(c.n) + " threads " + std::to_string(c.threads) + " boundary " +
         std::to_string(static_cast<int>(c.params.boundary));
}

template <typename T>
void CompareInPlace(const Case& c) {
  Stepper<T> one_by_one, in_place;
  Fill(one_by_one, c.n, c.chemical_max);
  Fill(in_place, c.n, c.chemical_max, c.threads);
  Team team(c.threads);
  in_place.Arrange(c.params, kSteps, false, &team);
  const size_t at_once = in_place.StepsAtOnce(c.params, c.threads);
  Generator unused(uint64_t{0});
  StepCounts expected, counts;
  for (size_t done = 0; done < kSteps;) {
    const size_t steps = std::min(at_once, kSteps - done);
    const Spikes spikes = EverySpike(c.n, done);
    for (size_t s = 0; s < steps; ++s) {
      expected += one_by_one.Step(c.params, spikes[s], unused, nullptr);
    }
    counts += steps > 1 ? in_place.StepMany(c.params, steps, spikes, team)
                        : in_place.Step(c.params, spikes[0], unused, nullptr);
    done += steps;
  }
  in_place.ArrangeByColumns(c.params, &team);
  EXPECT_EQ(counts, expected) << NameOf(c);
  ExpectSame(in_place, one_by_one, NameOf(c));
  // Nothing is left of it.
  in_place.Step(c.params, EverySpike(c.n)[1], unused, nullptr);
  one_by_one.Step(c.params, EverySpike(c.n)[1], unused, nullptr);
  ExpectSame(in_place, one_by_one, NameOf(c) + " afterwards");
}

// Rates and a start with which cells fire and are clamped everywhere.
KernelParams Lively() {
  KernelParams params;
  params.r_activator = 0.1;
  params.r_inhibitor = 0.001;
  params.turing_threshold = 0.5;
  return params;
}

// 16: by columns; 72: by lanes; 272 and more: in two parts of a row; 1024: in four.
TEST(StripsTest, StepsInPlaceEqualSteps) {
  for (size_t n : {16, 64, 72, 256, 272, 520, 528}) CompareInPlace<double>({n, 1, {}, 0.1});
  for (size_t n : {64, 256, 528}) CompareInPlace<float>({n, 1, {}, 0.1});
  CompareInPlace<double>({1024, 1, {}, 0.1});
}

TEST(StripsTest, StripsOfSeveralThreadsToo) {
  for (size_t threads : {2, 3, 4}) {
    for (size_t n : {256, 264, 520}) CompareInPlace<double>({n, threads, {}, 0.1});
    CompareInPlace<float>({512, threads, {}, 0.1});
  }
}

TEST(StripsTest, CellsThatFireAndAreClampedAreCountedOnce) {
  for (size_t n : {64, 264, 512}) {
    for (size_t threads : {1, 3}) CompareInPlace<double>({n, threads, Lively(), 1.2});
  }
  CompareInPlace<float>({512, 2, Lively(), 1.2});
}

TEST(StripsTest, EveryBoundary) {
  for (const Boundary boundary : {Boundary::kNeumann, Boundary::kDirichlet}) {
    for (size_t n : {16, 64, 320, 520}) {
      for (KernelParams params : {KernelParams(), Lively()}) {
        params.boundary = boundary;
        CompareInPlace<double>({n, 1, params, 0.9});
        CompareInPlace<double>({n, 2, params, 0.9});
      }
    }
  }
}

TEST(StripsTest, WithoutAChemistry) {
  KernelParams params;
  params.turing_enabled = false;
  for (size_t n : {64, 256, 520}) CompareInPlace<double>({n, 2, params, 0.1});
}

TEST(StripsTest, KineticsWithoutLimits) {
  KernelParams params;
  params.kinetics = GrayScott{};
  params.d_activator = 0.08;
  params.d_inhibitor = 0.16;
  for (size_t n : {64, 256, 512}) {
    for (size_t threads : {1, 2}) CompareInPlace<double>({n, threads, params, 0.5});
  }
}

// Where they cannot be, or could not be undone.
TEST(StripsTest, NoStrips) {
  const auto at_once = [](size_t n, const KernelParams& params) {
    Stepper<double> grid;
    Fill(grid, n, 0.1);
    grid.Arrange(params, kSteps, false);
    return grid.StepsAtOnce(params, 1);
  };
  const size_t in_place = Strips<double>::kMaxSteps;
  EXPECT_EQ(at_once(512, {}), in_place);
  EXPECT_EQ(at_once(256, {}), 1u);
  EXPECT_NE(at_once(513, {}), in_place);
  KernelParams params;
  params.kinetics = GrayScott{};
  EXPECT_NE(at_once(512, params), in_place);
  params = {};
  params.alpha = std::nan("");
  EXPECT_EQ(at_once(512, params), 1u);
}

}  // namespace
}  // namespace mfn::engine
