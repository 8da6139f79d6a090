// What one step is made of: its constants and parameters, what it counts, and the spike before it
// (numeric model, section 3.3; 4 for the variant). stepper.h takes the steps.

#ifndef MFN_SERVER_ENGINE_KERNEL_H_
#define MFN_SERVER_ENGINE_KERNEL_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "server/engine/config.h"
#include "server/engine/kinetics.h"
#include "server/engine/rng.h"

namespace mfn::engine {

inline constexpr double kFieldMinV = -0.095;
inline constexpr double kFieldMaxV = 0.040;
inline constexpr double kTuringIncrementV = 0.005;
inline constexpr double kInitialMeanV = -0.070;
inline constexpr double kInitialSdV = 0.005;
inline constexpr double kInitialChemicalMax = 0.1;
inline constexpr double kChemicalMax = 1.0;  // clamp of A and I of Mfn; the lower limit is 0
inline constexpr double kSpikeMeanV = 0.02;
inline constexpr double kSpikeSdV = 0.005;

// Diffusion and the rates of Mfn are per step: those of the configuration times its time step, and
// diffusion divided by the square of its spacing.
struct KernelParams {
  Boundary boundary = Boundary::kPeriodic;
  double alpha = 0.18;
  bool turing_enabled = true;
  double turing_threshold = 0.75;
  double d_activator = 0.1;
  double d_inhibitor = 0.05;
  double r_activator = 0.01;
  double r_inhibitor = 0.02;
  // What reacts; of the parameters here, diffusion is not looked at.
  Kinetics kinetics;
  double time_step = 1.0;  // of all kinetics but Mfn
  // Section 4, Mfn only: the inhibitor reacts to the new, unclamped activator instead of the old
  // one.
  bool inhibitor_sees_new_activator = false;
  bool quantum_jitter = false;
  double jitter_sd = 0.0;  // volt

  // Whether no parameter of Mfn is a NaN or infinite; those of the other kinetics never are.
  bool Finite() const {
    return std::isfinite(alpha + d_activator + d_inhibitor + r_activator + r_inhibitor +
                         turing_threshold);
  }
};

struct StepCounts {
  int64_t turing_activations = 0;
  int64_t clamping_events = 0;
  // Cells of the next state that are not finite. Where there is a clamp, this is NaN.
  int64_t field_bad = 0;
  int64_t activator_bad = 0;
  int64_t inhibitor_bad = 0;

  bool Finite() const { return field_bad == 0 && activator_bad == 0 && inhibitor_bad == 0; }

  StepCounts& operator+=(const StepCounts& other) {
    turing_activations += other.turing_activations;
    clamping_events += other.clamping_events;
    field_bad += other.field_bad;
    activator_bad += other.activator_bad;
    inhibitor_bad += other.inhibitor_bad;
    return *this;
  }
  bool operator==(const StepCounts&) const = default;
};

// What is added to one cell of the field before a step.
struct Spike {
  size_t row = 0;
  size_t column = 0;
  double volt = 0.0;
};

// Section 3.3, step 1: with the given probability a spike for an n x n field. One uniform draw is
// always consumed.
std::optional<Spike> DrawSpike(double probability, size_t n, Generator& generator);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KERNEL_H_
