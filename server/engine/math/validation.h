// The validation cycle: simulates a small data set, trains the network on it and reports figures
// that show whether an installation computes what it should (numeric model, section 6.9).

#ifndef MFN_SERVER_ENGINE_MATH_VALIDATION_H_
#define MFN_SERVER_ENGINE_MATH_VALIDATION_H_

#include <array>
#include <cstdint>
#include <vector>

#include "server/engine/error.h"
#include "server/engine/seed.h"
#include "server/engine/simulation.h"

namespace mfn::engine {

inline constexpr int64_t kValidationSamples = 16;

// Ranges of the request (section 7.2), inclusive; with them a cycle takes at most some seconds and
// a few megabytes.
struct ValidationConfig {
  Seed seed{42};
  int64_t epochs = 1;      // [1, 100]
  int64_t batch_size = 4;  // [1, 64]
  int64_t grid_size = 64;  // [8, 256]
  int64_t steps = 64;      // [1, 1000]
  bool turing_enabled = true;
  bool quantum_jitter = false;
};

// kInvalidArgument on the first field out of its range.
Expected<void> ValidateValidationConfig(const ValidationConfig& config);

struct ValidationResult {
  // Implementation-defined. Parameters are drawn by Network::Initialize from the generator that
  // made the data set, after it; before every epoch the same generator shuffles the order of the
  // samples (for i = 15 .. 1: swap i with integers(0, i + 1)). The last batch of an epoch may be
  // smaller.
  double loss_start = 0.0;  // of the very first batch, before any training
  double loss_final = 0.0;  // of the last batch, which is other data
  double loss_drop = 0.0;   // loss_start - loss_final, may be negative
  // Exact with glibc.
  double pot_min_mv = 0.0;  // over the 16 fields
  double pot_max_mv = 0.0;
  double example_fractal_dim = 0.0;  // within 1e-9
  double lyapunov_exponent = 0.0;    // of the example
  double lyapunov_mean = 0.0;        // of the 16 samples
  double growth_events = 0.0;        // of the example
  double nernst_symbolic_mv = 0.0;   // potassium, evaluated in extended precision; within 1e-14
  double nernst_numeric_mv = 0.0;    // potassium
  double nernst_rtfz_mv = 0.0;       // R T / F at 310 K
  // The data set, one entry per sample: [box-counting dimension, 100 mean V, 100 std V, 100 max V]
  // with V in volt, and the target made of them.
  std::vector<std::array<float, 4>> dataset_x;
  std::vector<float> dataset_y;
};

// `cancel` is polled before each simulation step (kCancelled). Errors of ValidateValidationConfig.
Expected<ValidationResult> RunValidation(const ValidationConfig& config,
                                         const CancelCheck& cancel = {});

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_VALIDATION_H_
