// The rules of one simulation step as separate functions on rectangular fields (numeric model,
// section 6.10), for callers who compose steps of their own. Simulations use simulation.h.

#ifndef MFN_SERVER_ENGINE_MATH_FIELD_RULES_H_
#define MFN_SERVER_ENGINE_MATH_FIELD_RULES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/error.h"
#include "server/engine/kernel.h"
#include "server/engine/math/stencil.h"
#include "server/engine/rng.h"

namespace mfn::engine {

// F + D lap(F). D >= 0.25 is kStability on "diffusion", NaN kInvalidArgument; there is no lower
// bound. Errors of Laplacian.
Expected<std::vector<double>> DiffusionUpdate(const FieldView& field, double diffusion,
                                              Boundary boundary = Boundary::kPeriodic);

struct ReactionParams {
  double d_activator = 0.1;        // [0, 0.25)
  double d_inhibitor = 0.05;       // [0, 0.25)
  double r_activator = 0.01;       // >= 0
  double r_inhibitor = 0.02;       // >= 0
  double turing_threshold = 0.75;  // [0, 1]
  Boundary boundary = Boundary::kPeriodic;
};

// kStability for a diffusion rate of 0.25 or more, else kOutOfRange, on the field concerned.
Expected<void> ValidateReaction(const ReactionParams& params);

struct Chemistry {
  std::vector<double> activator;
  std::vector<double> inhibitor;
};

// One reaction-diffusion step of section 3.3, both from the old values, clamped to [0, 1].
// kInvalidArgument on "inhibitor" if the shapes differ.
Expected<Chemistry> ReactionUpdate(const ReactionParams& params, const FieldView& activator,
                                   const FieldView& inhibitor);

// Adds the increment (volt) to the field where the activator is above the threshold; returns the
// number of cells. The caller's arrays must have equal sizes, else kInvalidArgument on "activator".
Expected<int64_t> ApplyTuring(std::span<double> field, std::span<const double> activator,
                              double threshold = 0.75, double increment = kTuringIncrementV);

// A spike at a random cell with this probability; always draws once. Returns whether it happened.
// field.size() == rows * columns >= 1, both below 2^32.
bool GrowthEvent(std::span<double> field, size_t rows, size_t columns, double probability,
                 Generator& generator);

// Adds normal(0, sqrt(variance)) to every cell, row-major. variance >= 0.
void AddJitter(std::span<double> field, double variance, Generator& generator);

// Limits every value; NaN stays. Returns the number of cells strictly outside.
int64_t ClampField(std::span<double> field, double min = kFieldMinV, double max = kFieldMaxV);

struct FieldStepParams {
  double alpha = 0.18;              // < 0.25
  double spike_probability = 0.25;  // [0, 1]
  bool turing_enabled = true;
  ReactionParams reaction;  // its boundary is the field's, too
  bool quantum_jitter = false;
  double jitter_var = 0.0005;  // V^2, >= 0
};

struct FieldStepCounts {
  int64_t growth_events = 0;
  int64_t turing_activations = 0;
  int64_t clamping_events = 0;
};

// The three arrays of one rectangular simulation, changed in place.
struct FieldState {
  std::vector<double> field;  // volt
  std::vector<double> activator;
  std::vector<double> inhibitor;
  size_t rows = 0;
  size_t columns = 0;
};

// Spike, diffusion, chemistry, jitter, clamp, with the draw order of section 3.3. On a square and
// for thresholds below 1 this equals one step of a Simulation bit for bit. After an error the state
// may hold part of the step.
Expected<FieldStepCounts> StepFieldState(const FieldStepParams& params, FieldState& state,
                                         Generator& generator);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_FIELD_RULES_H_
