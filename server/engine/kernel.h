// The step kernel: everything of one step that touches every cell, behind one function, so that a
// faster one can take its place (numeric model, sections 3.3 and 3.4; 4 for the variant).

#ifndef MFN_SERVER_ENGINE_KERNEL_H_
#define MFN_SERVER_ENGINE_KERNEL_H_

#include <cstddef>
#include <cstdint>

#include "server/engine/config.h"
#include "server/engine/rng.h"

namespace mfn::engine {

inline constexpr double kFieldMinV = -0.095;
inline constexpr double kFieldMaxV = 0.040;
inline constexpr double kTuringIncrementV = 0.005;
inline constexpr double kInitialMeanV = -0.070;
inline constexpr double kInitialSdV = 0.005;
inline constexpr double kInitialChemicalMax = 0.1;
inline constexpr double kSpikeMeanV = 0.02;
inline constexpr double kSpikeSdV = 0.005;

struct KernelParams {
  Boundary boundary = Boundary::kPeriodic;
  double alpha = 0.18;
  bool turing_enabled = true;
  double turing_threshold = 0.75;
  double d_activator = 0.1;
  double d_inhibitor = 0.05;
  double r_activator = 0.01;
  double r_inhibitor = 0.02;
  // Section 4: the inhibitor reacts to the new, unclamped activator instead of the old one.
  bool inhibitor_sees_new_activator = false;
  bool quantum_jitter = false;
  double jitter_sd = 0.0;  // volt
};

// Arrays of n * n values, row-major. No two may overlap. Without turing_enabled the chemistry is
// neither read nor written and may be null.
struct KernelState {
  size_t n = 0;  // [1, kMaxGridSize]
  const double* field = nullptr;
  const double* activator = nullptr;
  const double* inhibitor = nullptr;
  double* next_field = nullptr;
  double* next_activator = nullptr;
  double* next_inhibitor = nullptr;
};

struct StepCounts {
  int64_t turing_activations = 0;
  int64_t clamping_events = 0;
  // NaN cells of the next state. Infinity cannot occur in it, since every field is clamped.
  int64_t field_nan = 0;
  int64_t activator_nan = 0;
  int64_t inhibitor_nan = 0;
  bool operator==(const StepCounts&) const = default;
};

// Section 3.3, step 1: with the given probability adds a spike to one cell of the field. Returns
// whether it did. One uniform draw is always consumed.
bool AddSpike(double probability, size_t n, double* field, Generator& generator);

// Diffusion, chemistry, jitter and clamp: reads the state (to which the spike was already added)
// and writes the next one. The generator is used for jitter only: n * n normals, row-major.
StepCounts StepField(const KernelParams& params, const KernelState& state, Generator& generator);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KERNEL_H_
