// The membrane engine: Nernst potentials with configured limits, and explicit integration of a
// membrane potential (numeric model, section 6.8 and the second column of 6.1).

#ifndef MFN_SERVER_ENGINE_MATH_MEMBRANE_H_
#define MFN_SERVER_ENGINE_MATH_MEMBRANE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "server/engine/error.h"

namespace mfn::engine {

// Limits of one call.
inline constexpr size_t kMaxMembraneValues = size_t{1} << 20;
inline constexpr uint64_t kMaxMembraneWork = uint64_t{1} << 30;  // values * steps

enum class IntegrationScheme { kEuler, kRk4 };

// "euler" or "rk4"; kInvalidArgument on "scheme" otherwise.
Expected<IntegrationScheme> ParseIntegrationScheme(std::string_view name);

struct MembraneConfig {
  double temperature_k = 310.0;     // [273, 320]
  double ion_clamp_min = 1e-6;      // mol/L, > 0: lower clamp of concentrations
  double potential_min_v = -0.150;  // [-0.150, potential_max_v)
  double potential_max_v = 0.150;   // (potential_min_v, 0.150]
  IntegrationScheme scheme = IntegrationScheme::kEuler;
  double dt = 1e-4;             // s, [1e-7, 1e-2]
  bool check_stability = true;  // look for NaN and infinity after every step
};

// kOutOfRange, in the order temperature, ion clamp, dt, order of the potentials, lower, upper
// limit.
Expected<void> ValidateMembraneConfig(const MembraneConfig& config);

// Of the values of a result, volt; exact (section 1.1).
struct PotentialStatistics {
  double min = 0.0, max = 0.0, mean = 0.0, std = 0.0;
};

struct MembraneNernst {
  std::vector<double> volts;
  int64_t clamping_events = 0;  // concentrations that were raised to ion_clamp_min
  PotentialStatistics statistics;
};

// One potential per pair of concentrations (mol/L). z in {-2, -1, 1, 2}, else kOutOfRange on "z".
// A per-call temperature replaces the configured one unchecked. kInvalidArgument on "c_in" for
// unequal or empty arrays, kResourceExhausted past kMaxMembraneValues, kNumericalInstability on
// "potential" if a result is NaN (reported first) or infinite.
Expected<MembraneNernst> MembraneNernstPotentials(const MembraneConfig& config, int z,
                                                  std::span<const double> c_out,
                                                  std::span<const double> c_in,
                                                  std::optional<double> temperature_k = {});

struct MembraneNernstScalar {
  double volts = 0.0;
  int64_t clamping_events = 0;  // 1 if either concentration was raised, or both
};

// The same for one pair; only the count differs.
Expected<MembraneNernstScalar> MembraneNernstPotential(const MembraneConfig& config, int z,
                                                       double c_out, double c_in,
                                                       std::optional<double> temperature_k = {});

// dv/dt in V/s for every element: writes out[k] from v; equal sizes, no overlap. Must not throw.
using MembraneDerivative = std::function<void(std::span<const double> v, std::span<double> out)>;

// The leak towards rest: (v_rest - v) / tau. v_rest in volt and finite, tau in seconds, not 0 and
// finite; kInvalidArgument otherwise.
Expected<MembraneDerivative> LeakDerivative(double v_rest, double tau);

// Parameters of the derivatives that a caller can choose by name.
struct DerivativeParams {
  double v_rest = -0.065;  // V, "leak"
  double tau = 0.010;      // s, "leak"
  double rate = 0.0;       // V/s, "constant"
};
// "leak" or "constant"; kInvalidArgument on "derivative" for another name.
Expected<MembraneDerivative> NamedDerivative(std::string_view name, const DerivativeParams& params);

struct MembraneIntegration {
  std::vector<double> v;  // volt
  int64_t steps_computed = 0;
  int64_t clamping_events = 0;  // value-steps that left the configured range
  PotentialStatistics statistics;
};

// `steps` >= 0 steps of dt from v0 (which is not clamped itself). With `clamp` every step ends
// inside [potential_min_v, potential_max_v]. Exact. kNumericalInstability with the zero-based step
// and the number of values; kInvalidArgument on "v0" or "steps"; kResourceExhausted past the limits
// above.
Expected<MembraneIntegration> IntegrateMembrane(const MembraneConfig& config,
                                                std::span<const double> v0,
                                                const MembraneDerivative& derivative, int64_t steps,
                                                bool clamp = true);

// Whether every value is within the configured limits, or within [-0.095, 0.040] when strict;
// inclusive, false for NaN.
bool PotentialsInRange(const MembraneConfig& config, std::span<const double> v,
                       bool strict = false);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_MEMBRANE_H_
