// The configuration of a field simulation, its defaults, and the checks it must pass (numeric
// model, sections 3.1 and 3.7).

#ifndef MFN_SERVER_ENGINE_CONFIG_H_
#define MFN_SERVER_ENGINE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "server/engine/error.h"
#include "server/engine/kinetics.h"
#include "server/engine/seed.h"

namespace mfn::engine {

// What lies outside the grid (section 3.4).
enum class Boundary {
  kPeriodic,   // the opposite border: a torus
  kNeumann,    // the cell's own value: no flux
  kDirichlet,  // 0.0
};

std::string_view BoundaryName(Boundary boundary);  // "periodic", "neumann", "dirichlet"
Expected<Boundary> ParseBoundary(std::string_view name);

// The arithmetic of a simulation.
enum class Precision {
  kExact,  // float64, every bit as the numeric model says
  // float32: not the model's bits, but the same on every machine, with any number of threads. State
  // and features are doubles made from the floats.
  kFast,
};

inline constexpr int64_t kMinGridSize = 4;
inline constexpr int64_t kMaxGridSize = 1024;

// Ranges in the comments are those of ValidateEngine.
struct SimulationConfig {
  int64_t grid_size = 64;           // N: the grid is N x N; [4, 1024]
  int64_t steps = 64;               // T; >= 0 here, >= 1 in ValidateRun
  double alpha = 0.18;              // diffusion of the potential; [0.05, 0.25)
  double spike_probability = 0.25;  // per step; [0, 1]
  bool turing_enabled = true;
  double turing_threshold = 0.75;  // [0.5, 0.95]
  bool quantum_jitter = false;
  double jitter_var = 0.0005;  // V^2; [0, 0.01], checked even without jitter
  double d_activator = 0.1;    // [0.01, 0.25)
  double d_inhibitor = 0.05;   // [0.01, 0.25)
  double r_activator = 0.01;   // [0.001, 0.1]
  double r_inhibitor = 0.02;   // [0.001, 0.1]
  Boundary boundary = Boundary::kPeriodic;
  Precision precision = Precision::kExact;
  bool check_stability = true;  // look for NaN and infinity after every step
  std::optional<Seed> seed;     // absent: one is drawn, and reported by the run

  // What activator and inhibitor do. With anything but Mfn the four rates above have no meaning,
  // and turing_threshold, in the units of that kinetics, is in [-1e6, 1e6].
  Kinetics kinetics;
  // Of the chemistry (the potential has alpha, which is per step and cell), with the bounds of
  // CheckTimeStep.
  double time_step = 1.0;  // [1e-6, 1000]
  double spacing = 1.0;    // of two cells; [1e-4, 1e4]
};

// How fast the two species spread: from the kinetics, or with Mfn from the rates.
Diffusion DiffusionOf(const SimulationConfig& config);

// The checks of the engine object alone, in the order of section 3.7 (rows 2 to 4), then those of
// kinetics, time step and spacing. Errors are kOutOfRange or kStability; a negative `steps` is
// kInvalidArgument. A NaN in alpha, d_activator or d_inhibitor passes, as in the reference, and
// shows up as kNumericalInstability in the first step; CheckLimits refuses it at the door.
Expected<void> ValidateEngine(const SimulationConfig& config);

// The checks of a run: the outer configuration object (row 1, kInvalidArgument), then
// ValidateEngine. The narrower range wins; the kind of error tells which check fired.
Expected<void> ValidateRun(const SimulationConfig& config);

// The stricter validator, which no run calls: N in [4, 512], T in [1, 10000], alpha in
// (0.001, 0.25], p and theta in [0, 1], jitter_var in [0, 0.01]. Errors are kInvalidArgument.
Expected<void> ValidateStrict(const SimulationConfig& config);

// What one request may cost a server.
struct Limits {
  int64_t max_grid_size = kMaxGridSize;
  int64_t max_cell_steps = int64_t{1} << 36;  // N * N * T
};

// Refuses work beyond the limits with kResourceExhausted on "grid_size" or "steps", the limit in
// error.max, and numbers that are not finite with kInvalidArgument.
Expected<void> CheckLimits(const SimulationConfig& config, const Limits& limits = {});

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_CONFIG_H_
