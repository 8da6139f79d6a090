// Linear stability of a chemistry: its homogeneous steady state, which waves grow on it and how
// fast, and how long a time step the explicit Euler scheme bears.
//
// A small disturbance of wavenumber k around the steady state grows as exp(lambda * t), lambda the
// eigenvalue with the larger real part of J - q * D: J the Jacobian of the reaction, D the
// diffusion, q = k^2 (J. D. Murray, Mathematical Biology II, section 2.3). On the grid q is 4 /
// spacing^2 * (sin^2(kx * spacing / 2) + sin^2(ky * spacing / 2)), at most 8 / spacing^2.
//
// Pure functions; configurations must be valid except for their time step.

#ifndef MFN_SERVER_ENGINE_STABILITY_H_
#define MFN_SERVER_ENGINE_STABILITY_H_

#include <complex>

#include "server/engine/config.h"
#include "server/engine/error.h"

namespace mfn::engine {

struct Species {
  double activator = 0.0;
  double inhibitor = 0.0;
};

// Where both reaction terms are zero. kinetics.h says which one if there are several.
Species SteadyState(const SimulationConfig& config);

// Derivatives of f (first letter a) and g (first letter i) by A and I (second letter).
struct Jacobian {
  double aa = 0.0, ai = 0.0, ia = 0.0, ii = 0.0;
};
Jacobian JacobianAt(const SimulationConfig& config, const Species& state);

// The eigenvalue with the larger real part, 1/time, at q.
std::complex<double> GrowthAt(const SimulationConfig& config, double q);

// The wave that grows fastest among those that the grid can hold.
struct FastestWave {
  double q = 0.0;
  double rate = 0.0;  // real part, 1/time; <= 0: nothing grows
};
FastestWave FastestGrowth(const SimulationConfig& config);

// The homogeneous state is stable, and some wave grows on it.
bool HasTuringInstability(const SimulationConfig& config);

// The least of the bounds on the time step:
//   diffusion   spacing^2 / (4 * d) with the larger d: the five-point stencil in two dimensions
//   reaction    below 2 / |lambda|, with the larger eigenvalue at q = 0
//   both        |1 + time_step * lambda| <= 1 for what must decay in the shortest wave, q =
//               8 / spacing^2; not with Mfn, whose clamp holds that wave
// kStability on "time_step" if it is passed; the message says which bound, with which numbers, and
// what to change.
Expected<void> CheckTimeStep(const SimulationConfig& config);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_STABILITY_H_
