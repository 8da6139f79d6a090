#include "server/engine/stability.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <variant>

namespace mfn::engine {
namespace {

// The zero of a function that changes its sign once in [low, high], to the last bit.
template <typename Function>
double Bisect(double low, double high, const Function& function) {
  const bool rising = function(low) < function(high);
  for (int k = 0; k < 2000; ++k) {
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) break;
    ((function(middle) < 0.0) == rising ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

struct SteadyStateOf {
  Species operator()(const Mfn&) const { return {0.0, 0.0}; }
  Species operator()(const GrayScott&) const { return {0.0, 1.0}; }
  Species operator()(const Schnakenberg& m) const {
    const double a = m.a + m.b;
    return {a, m.b / (a * a)};
  }
  // With I = A^2 / c the first equation has one zero, which saturation moves down.
  Species operator()(const GiererMeinhardt& m) const {
    const double unsaturated = (m.a + m.c) / m.b;
    if (m.saturation == 0.0) return {unsaturated, unsaturated * unsaturated / m.c};
    const double a = Bisect(0.0, unsaturated, [&m](double x) {
      return m.a - m.b * x + m.c / (1.0 + m.saturation * x * x);
    });
    return {a, a * a / m.c};
  }
  Species operator()(const FitzHughNagumo& m) const {
    const auto cubic = [&m](double x) { return m.a1 * x * x * x + (1.0 - m.a1) * x - m.a0; };
    double low = -25.0;  // beyond every root for parameters in range
    double high = 25.0;
    const double turn = m.a1 > 1.0 ? std::sqrt((m.a1 - 1.0) / (3.0 * m.a1)) : 0.0;
    if (cubic(-turn) * cubic(turn) < 0.0) {
      low = -turn;
      high = turn;
    }
    const double a = Bisect(low, high, cubic);
    return {a, a - a * a * a};
  }
  Species operator()(const Brusselator& m) const { return {m.a, m.b / m.a}; }
};

struct JacobianOf {
  const SimulationConfig& config;
  const double a, i;

  Jacobian operator()(const Mfn&) const {
    return {config.r_activator * (1.0 - 2.0 * a), -config.r_activator, config.r_inhibitor,
            -config.r_inhibitor};
  }
  Jacobian operator()(const GrayScott& m) const {
    return {2.0 * a * i - (m.feed + m.kill), a * a, -2.0 * a * i, -m.feed - a * a};
  }
  Jacobian operator()(const Schnakenberg& m) const {
    return {m.gamma * (2.0 * a * i - 1.0), m.gamma * a * a, -2.0 * m.gamma * a * i,
            -m.gamma * a * a};
  }
  Jacobian operator()(const GiererMeinhardt& m) const {
    const double s = 1.0 + m.saturation * a * a;
    return {2.0 * a / (i * s * s) - m.b, -a * a / (i * i * s), 2.0 * a, -m.c};
  }
  Jacobian operator()(const FitzHughNagumo& m) const {
    return {1.0 - 3.0 * a * a, -1.0, m.epsilon, -m.epsilon * m.a1};
  }
  Jacobian operator()(const Brusselator& m) const {
    return {2.0 * a * i - (m.b + 1.0), a * a, m.b - 2.0 * a * i, -a * a};
  }
};

// Both eigenvalues at q, the one with the larger real part first.
std::pair<std::complex<double>, std::complex<double>> Eigenvalues(const Jacobian& j,
                                                                  const Diffusion& d, double q) {
  const double aa = j.aa - q * d.activator;
  const double ii = j.ii - q * d.inhibitor;
  const double half_trace = 0.5 * (aa + ii);
  const double half_gap = 0.5 * (aa - ii);
  const double square = half_gap * half_gap + j.ai * j.ia;
  if (square < 0.0) {
    const double frequency = std::sqrt(-square);
    return {{half_trace, frequency}, {half_trace, -frequency}};
  }
  const double root = std::sqrt(square);
  return {half_trace + root, half_trace - root};
}

struct Linear {
  Jacobian jacobian;
  Diffusion diffusion;

  explicit Linear(const SimulationConfig& config)
      : jacobian(JacobianAt(config, SteadyState(config))), diffusion(DiffusionOf(config)) {}
  double Rate(double q) const { return Eigenvalues(jacobian, diffusion, q).first.real(); }
};

double ShortestWave(const SimulationConfig& config) {
  return 8.0 / (config.spacing * config.spacing);
}

double DiffusionBound(const SimulationConfig& config) {
  const Diffusion d = DiffusionOf(config);
  return config.spacing * config.spacing / (4.0 * std::max(d.activator, d.inhibitor));
}

double LargestEigenvalue(const Linear& linear) {
  const auto [first, second] = Eigenvalues(linear.jacobian, linear.diffusion, 0.0);
  return std::max(std::abs(first), std::abs(second));
}

double JointBound(const SimulationConfig& config, const Linear& linear) {
  double bound = std::numeric_limits<double>::infinity();
  const auto [first, second] = Eigenvalues(linear.jacobian, linear.diffusion, ShortestWave(config));
  for (const std::complex<double> value : {first, second}) {
    if (value.real() >= 0.0) continue;
    bound = std::min(bound, -2.0 * value.real() / std::norm(value));
  }
  return bound;
}

// What the bound is made of, and what to change.
std::string WhyDiffusion(const SimulationConfig& config) {
  const Diffusion d = DiffusionOf(config);
  const bool activator = d.activator > d.inhibitor;
  return std::string("diffusion: spacing^2 / (4 * ") + (activator ? "d_activator" : "d_inhibitor") +
         ") with spacing " + FormatDouble(config.spacing) + " and diffusion " +
         FormatDouble(std::max(d.activator, d.inhibitor)) + "; lower time_step or raise spacing";
}

std::string WhyReaction(double eigenvalue) {
  return "reaction: 2 / |eigenvalue| with " + FormatDouble(eigenvalue) +
         " at the steady state; lower time_step or the reaction rates";
}

constexpr char kWhyJoint[] =
    "diffusion and reaction together, in the shortest wave of the grid at the steady state; lower "
    "time_step or raise spacing";

}  // namespace

Species SteadyState(const SimulationConfig& config) {
  return std::visit(SteadyStateOf{}, config.kinetics);
}

Jacobian JacobianAt(const SimulationConfig& config, const Species& state) {
  return std::visit(JacobianOf{config, state.activator, state.inhibitor}, config.kinetics);
}

std::complex<double> GrowthAt(const SimulationConfig& config, double q) {
  const Linear linear(config);
  return Eigenvalues(linear.jacobian, linear.diffusion, q).first;
}

// The rate has one maximum over q at most besides q = 0; a scan finds its surroundings.
FastestWave FastestGrowth(const SimulationConfig& config) {
  const Linear linear(config);
  const double most = ShortestWave(config);
  constexpr int kScan = 1024;
  int best = 1;
  for (int k = 2; k <= kScan; ++k) {
    if (linear.Rate(most * k / kScan) > linear.Rate(most * best / kScan)) best = k;
  }
  double low = most * (best - 1) / kScan;
  double high = most * std::min(best + 1, kScan) / kScan;
  for (int k = 0; k < 100; ++k) {
    const double left = low + (high - low) / 3.0;
    const double right = high - (high - low) / 3.0;
    (linear.Rate(left) < linear.Rate(right) ? low : high) =
        linear.Rate(left) < linear.Rate(right) ? left : right;
  }
  const double q = 0.5 * (low + high);
  return {q, linear.Rate(q)};
}

bool HasTuringInstability(const SimulationConfig& config) {
  return GrowthAt(config, 0.0).real() < 0.0 && FastestGrowth(config).rate > 0.0;
}

Expected<void> CheckTimeStep(const SimulationConfig& config) {
  const Linear linear(config);
  const bool clamped = std::holds_alternative<Mfn>(config.kinetics);
  const double diffusion = DiffusionBound(config);
  const double eigenvalue = LargestEigenvalue(linear);
  const double joint =
      clamped ? std::numeric_limits<double>::infinity() : JointBound(config, linear);
  const double most = std::min({diffusion, 2.0 / eigenvalue, joint});
  if (config.time_step <= most) return {};
  const bool by_reaction =
      2.0 / eigenvalue <= most * (1.0 + 1e-12);  // joint is it without diffusion
  Error error = OutOfRange("time_step", config.time_step, std::nullopt, most);
  error.kind = ErrorKind::kStability;
  error.message = "time_step is " + FormatDouble(config.time_step) + ", must be at most " +
                  FormatDouble(most) + " for the scheme to be stable (" +
                  (most == diffusion ? WhyDiffusion(config)
                   : by_reaction     ? WhyReaction(eigenvalue)
                                     : std::string(kWhyJoint)) +
                  ")";
  return error;
}

}  // namespace mfn::engine
