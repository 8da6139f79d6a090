// The patterns are those of the equations: order of convergence, growth and wavelength of small
// disturbances, conservation, and what Gray-Scott's regimes are known for. The table in README.md
// has the figures that are printed here.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <numbers>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "server/engine/clusters.h"
#include "server/engine/kinetics_test_util.h"
#include "server/engine/presets.h"
#include "server/engine/run.h"
#include "server/engine/stability.h"
#include "server/engine/stepper.h"

namespace mfn::engine {
namespace {

constexpr double kTau = 2.0 * std::numbers::pi;

void Print(const Kinetics& kinetics, const char* what, double value) {
  std::printf("  %-17s %s %.4g\n", std::string(KineticsName(kinetics)).c_str(), what, value);
}

const Kinetics kTuring[] = {Schnakenberg{}, GiererMeinhardt{}, FitzHughNagumo{}, Brusselator{}};

SimulationConfig ConfigOf(const Kinetics& kinetics, int64_t n) {
  SimulationConfig config;
  config.kinetics = kinetics;
  config.turing_threshold = DefaultThreshold(kinetics);
  config.time_step = DefaultTimeStep(kinetics);
  config.grid_size = n;
  config.seed = Seed(11);
  return config;
}

// A solution that is made up, on a square of side 1: level + 0.2 * exp(-t) * cos(2 pi x) cos(2 pi
// y) for both species, and the source terms that make it one. Returns the largest error at time
// 0.25.
double ErrorOfManufacturedSolution(const Kinetics& kinetics, size_t n) {
  constexpr double kLevel = 0.5, kSize = 0.2, kDiffusionA = 0.05, kDiffusionI = 0.1;
  const double dx = 1.0 / static_cast<double>(n);
  const double dt = dx * dx;
  KernelParams params;
  params.kinetics = kinetics;
  params.time_step = dt;
  params.r_activator = dt;  // of Mfn
  params.r_inhibitor = dt * 2.0;
  params.turing_threshold = 0.95;
  params.d_activator = kDiffusionA * dt / (dx * dx);
  params.d_inhibitor = kDiffusionI * dt / (dx * dx);
  std::vector<double> shape(n * n);
  for (size_t k = 0; k < n * n; ++k) {
    shape[k] = std::cos(kTau * dx * static_cast<double>(k / n)) *
               std::cos(kTau * dx * static_cast<double>(k % n));
  }
  Stepper<double> grid;
  grid.Resize(n);
  std::fill(grid.field().begin(), grid.field().end(), -0.07);
  for (size_t k = 0; k < n * n; ++k) {
    grid.activator()[k] = grid.inhibitor()[k] = kLevel + kSize * shape[k];
  }
  Generator unused(uint64_t{0});
  double t = 0.0;
  for (; t < 0.25 - dt / 2; t += dt) {
    const double size = kSize * std::exp(-t);
    grid.Step(params, {}, unused, nullptr);
    for (size_t k = 0; k < n * n; ++k) {
      const double u = kLevel + size * shape[k];
      const auto [f, g] = std::visit(Reaction<double>{params, u, u}, kinetics);  // times dt
      const double laplacian = -2.0 * kTau * kTau * size * shape[k];
      grid.activator()[k] += dt * (-size * shape[k] - kDiffusionA * laplacian) - f;
      grid.inhibitor()[k] += dt * (-size * shape[k] - kDiffusionI * laplacian) - g;
    }
  }
  double error = 0.0;
  for (size_t k = 0; k < n * n; ++k) {
    const double exact = kLevel + kSize * std::exp(-t) * shape[k];
    error = std::max(
        {error, std::abs(grid.activator()[k] - exact), std::abs(grid.inhibitor()[k] - exact)});
  }
  return error;
}

TEST(PatternsTest, TheSchemeIsOfSecondOrderInSpace) {
  for (const Kinetics& kinetics : {Kinetics(Mfn{}), Kinetics(GrayScott{}), Kinetics(Schnakenberg{}),
                                   Kinetics(GiererMeinhardt{.saturation = 0.1}),
                                   Kinetics(FitzHughNagumo{}), Kinetics(Brusselator{})}) {
    SCOPED_TRACE(KineticsName(kinetics));
    const double coarse = ErrorOfManufacturedSolution(kinetics, 12);
    const double middle = ErrorOfManufacturedSolution(kinetics, 24);
    const double fine = ErrorOfManufacturedSolution(kinetics, 48);
    Print(kinetics, "error, by twice the spacing: times", coarse / middle);
    Print(kinetics, "error, by twice the spacing: times", middle / fine);
    EXPECT_NEAR(coarse / middle, 4.0, 0.3);
    EXPECT_NEAR(middle / fine, 4.0, 0.1);
  }
}

// One wave near the fastest, in the proportion of the growing eigenvector.
TEST(PatternsTest, ASmallWaveGrowsAtTheRateOfTheDispersionRelation) {
  for (const Kinetics& kinetics : kTuring) {
    SCOPED_TRACE(KineticsName(kinetics));
    const int64_t n = 96;
    SimulationConfig config = ConfigOf(kinetics, n);
    config.time_step *= 0.25;  // Euler's own error is of first order
    const double waves =
        std::round(static_cast<double>(n) * std::sqrt(FastestGrowth(config).q) / kTau);
    const double k = kTau * waves / static_cast<double>(n);
    const double rate = GrowthAt(config, k * k).real();
    const Species steady = SteadyState(config);
    const Jacobian jacobian = JacobianAt(config, steady);
    const double aa = jacobian.aa - k * k * DiffusionOf(config).activator;
    std::vector<double> wave(static_cast<size_t>(n * n)), activator, inhibitor;
    for (size_t c = 0; c < wave.size(); ++c) {
      wave[c] = std::cos(k * static_cast<double>(c % static_cast<size_t>(n)));
      activator.push_back(steady.activator + 1e-7 * wave[c]);
      inhibitor.push_back(steady.inhibitor + 1e-7 * wave[c] * (rate - aa) / jacobian.ai);
    }
    auto simulation =
        Simulation::CreateFrom(config, {.field = std::vector<double>(wave.size(), -0.07),
                                        .activator = activator,
                                        .inhibitor = inhibitor,
                                        .generator = {}});
    ASSERT_TRUE(simulation.ok());
    const auto amplitude = [&] {
      return std::inner_product(wave.begin(), wave.end(), (*simulation)->activator().begin(), 0.0);
    };
    const double level = steady.activator * std::accumulate(wave.begin(), wave.end(), 0.0);
    const int64_t steps = std::llround(1.5 / rate / config.time_step);
    ASSERT_TRUE((*simulation)->Run(steps).ok());
    const double early = amplitude() - level;
    ASSERT_TRUE((*simulation)->Run(steps).ok());
    const double late = amplitude() - level;
    const double measured =
        std::log(late / early) / (static_cast<double>(steps) * config.time_step);
    Print(kinetics, "growth rate: times that of the relation", measured / rate);
    EXPECT_NEAR(measured / rate, 1.0, 0.02);
  }
}

// The mean wavenumber of the spectrum's power, per cell. Waves shorter than four cells, of which
// nothing grows, are left out.
double MeanWavenumber(std::span<const double> values, size_t n) {
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / (n * n);
  const size_t most = n / 4;
  std::vector<std::complex<double>> unit(n);
  for (size_t k = 0; k < n; ++k) unit[k] = std::polar(1.0, -kTau * k / n);
  std::vector<std::complex<double>> rows(n * (most + 1));
  for (size_t i = 0; i < n; ++i) {
    for (size_t m = 0; m <= most; ++m) {
      for (size_t j = 0; j < n; ++j) {
        rows[i * (most + 1) + m] += (values[i * n + j] - mean) * unit[m * j % n];
      }
    }
  }
  double power = 0.0, moment = 0.0;
  for (size_t m = 0; m <= most; ++m) {
    for (size_t l = 0; l < n; ++l) {
      const double down = static_cast<double>(std::min(l, n - l));
      if (down > most) continue;
      std::complex<double> sum = 0.0;
      for (size_t i = 0; i < n; ++i) sum += rows[i * (most + 1) + m] * unit[l * i % n];
      const double weight = std::norm(sum) * (m == 0 ? 1.0 : 2.0);  // -m has the same
      power += weight;
      moment += weight * kTau / n * std::hypot(static_cast<double>(m), down);
    }
  }
  return moment / power;
}

// White noise, so small that it stays linear until the fastest waves are all that is left.
TEST(PatternsTest, TheWavelengthOfNoiseIsThatOfTheFastestWave) {
  for (const Kinetics& kinetics : kTuring) {
    SCOPED_TRACE(KineticsName(kinetics));
    const size_t n = 96;
    const SimulationConfig config = ConfigOf(kinetics, n);
    const FastestWave fastest = FastestGrowth(config);
    const Species steady = SteadyState(config);
    Generator generator(uint64_t{4});
    std::vector<double> activator(n * n), inhibitor(n * n, steady.inhibitor);
    generator.FillNormal(activator, steady.activator, 1e-8);
    auto simulation = Simulation::CreateFrom(config, {.field = std::vector<double>(n * n, -0.07),
                                                      .activator = activator,
                                                      .inhibitor = inhibitor,
                                                      .generator = {}});
    ASSERT_TRUE(simulation.ok());
    const int64_t steps = std::llround(14.0 / fastest.rate / config.time_step);
    ASSERT_TRUE((*simulation)->Run(steps).ok());
    const double measured = MeanWavenumber((*simulation)->activator(), n);
    Print(kinetics, "wavenumber of the fastest: times that of noise",
          std::sqrt(fastest.q) / measured);
    EXPECT_NEAR(std::sqrt(fastest.q) / measured, 1.0, 0.05);
  }
}

// No reaction, no flux through the border: what is there stays.
TEST(PatternsTest, PureDiffusionKeepsTheMass) {
  for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
    SimulationConfig config = ConfigOf(Schnakenberg{.gamma = 0.0}, 65);
    config.boundary = boundary;
    config.spike_probability = 0.0;
    config.turing_threshold = 1e6;
    auto simulation = Simulation::Create(config);
    ASSERT_TRUE(simulation.ok());
    const auto masses = [&] {
      std::vector<long double> sums;
      for (const auto values :
           {(*simulation)->field(), (*simulation)->activator(), (*simulation)->inhibitor()}) {
        sums.push_back(std::accumulate(values.begin(), values.end(), 0.0L));
      }
      return sums;
    };
    const auto before = masses();
    ASSERT_TRUE((*simulation)->Run(2000).ok());
    const auto after = masses();
    for (size_t s = 0; s < 3; ++s) {
      const double change = static_cast<double>(std::abs(after[s] / before[s] - 1.0L));
      if (boundary == Boundary::kDirichlet) {
        EXPECT_GT(change, 0.01);  // through the border
      } else {
        Print(config.kinetics, "diffusion alone, mass changes by", change);
        EXPECT_LT(change, 1e-14);
      }
    }
  }
}

// Shapes of the cells whose activator is above (or not above) a level.
struct Shapes {
  size_t count = 0;
  double active = 0.0;   // share of all cells
  double largest = 0.0;  // share of the active ones
};

Shapes ShapesOf(const Simulation& simulation, double level, bool above) {
  const size_t n = static_cast<size_t>(simulation.grid_size());
  std::vector<double> values(simulation.activator().begin(), simulation.activator().end());
  if (!above) {
    for (double& value : values) value = -value;
  }
  BinaryImage image;
  image.SetAbove(values, simulation.grid_size(), above ? level : -level);
  const std::vector<int64_t> sizes = ClusterSizes(image, Connectivity::kFour);
  Shapes shapes;
  shapes.count = sizes.size();
  const auto active = static_cast<double>(image.CountActive());
  shapes.active = active / static_cast<double>(n * n);
  if (!sizes.empty()) shapes.largest = static_cast<double>(std::ranges::max(sizes)) / active;
  return shapes;
}

std::unique_ptr<Simulation> GrayScottAt(double feed, double kill, int64_t n) {
  auto simulation = Simulation::Create(ConfigOf(GrayScott{.feed = feed, .kill = kill}, n));
  EXPECT_TRUE(simulation.ok());
  return std::move(*simulation);
}

TEST(GrayScottTest, MitosisDividesSpotsUntilTheyFillTheGrid) {
  auto simulation = GrayScottAt(0.0367, 0.0649, 96);
  size_t last = 0;
  for (int64_t steps : {500, 1500, 3000}) {
    ASSERT_TRUE(simulation->Run(steps).ok());
    const Shapes spots = ShapesOf(*simulation, 0.2, true);
    Print(GrayScott{}, "mitosis, spots:", static_cast<double>(spots.count));
    EXPECT_GE(spots.count, 2 * last) << steps;
    last = spots.count;
    if (steps == 3000) {
      EXPECT_GT(spots.count, 20u);
      EXPECT_LT(spots.largest, 0.1);  // all are apart
    }
  }
}

TEST(GrayScottTest, KappaIsALabyrinthOfLongStripes) {
  auto simulation = GrayScottAt(0.050, 0.063, 96);
  ASSERT_TRUE(simulation->Run(8000).ok());
  const Shapes stripes = ShapesOf(*simulation, 0.2, true);
  Print(GrayScott{}, "kappa, stripes:", static_cast<double>(stripes.count));
  EXPECT_GT(stripes.largest, 0.2);  // cut at the border, where clusters do not wrap
  EXPECT_LT(stripes.count, 12u);
  EXPECT_GT(stripes.active, 0.2);
  EXPECT_LT(stripes.active, 0.6);
}

TEST(GrayScottTest, DeltaIsASeaWithHoles) {
  auto simulation = GrayScottAt(0.030, 0.055, 96);
  ASSERT_TRUE(simulation->Run(6000).ok());
  const Shapes sea = ShapesOf(*simulation, 0.15, true);
  const Shapes holes = ShapesOf(*simulation, 0.15, false);
  Print(GrayScott{}, "delta, holes:", static_cast<double>(holes.count));
  EXPECT_GT(sea.largest, 0.99);
  EXPECT_GT(holes.count, 25u);
  EXPECT_LT(holes.largest, 0.2);
}

TEST(GrayScottTest, OutsideThePatternsItIsRedOrBlue) {
  auto red = GrayScottAt(0.06, 0.07, 64);
  ASSERT_TRUE(red->Run(4000).ok());
  EXPECT_LT(std::ranges::max(red->activator()), 1e-6);
  EXPECT_NEAR(std::ranges::min(red->inhibitor()), 1.0, 1e-3);
  // The homogeneous state with both: A * I = F + k and F * (1 - I) = (F + k) * A.
  const double feed = 0.06, kill = 0.04;
  auto blue = GrayScottAt(feed, kill, 64);
  ASSERT_TRUE(blue->Run(4000).ok());
  const double i = 0.5 * (1.0 - std::sqrt(1.0 - 4.0 * (feed + kill) * (feed + kill) / feed));
  const auto [least, most] = std::ranges::minmax(blue->inhibitor());
  EXPECT_NEAR(least, i, 1e-6);
  EXPECT_NEAR(most, i, 1e-6);
}

// Open rates of the reference's own chemistry: spots that stay where they are.
TEST(MfnSpotsTest, SettleIntoSpots) {
  SimulationConfig config = FindPreset("mfn_spots")->config;
  config.grid_size = 64;
  config.seed = Seed(7);
  auto simulation = Simulation::Create(config);
  ASSERT_TRUE(simulation.ok());
  ASSERT_TRUE((*simulation)->Run(2000).ok());
  const std::vector<double> settled((*simulation)->activator().begin(),
                                    (*simulation)->activator().end());
  const Shapes spots = ShapesOf(**simulation, 0.2, true);
  EXPECT_GT(spots.count, 150u);
  EXPECT_LT(spots.largest, 0.05);
  EXPECT_GT(std::ranges::count(settled, 0.0), 1000);  // held by the clamp
  ASSERT_TRUE((*simulation)->Run(2000).ok());
  double change = 0.0;
  for (size_t k = 0; k < settled.size(); ++k) {
    change = std::max(change, std::abs((*simulation)->activator()[k] - settled[k]));
  }
  EXPECT_LT(change, 0.02);
}

}  // namespace
}  // namespace mfn::engine
