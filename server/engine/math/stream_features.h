// The feature frame of the live stream: a separate, simpler set than the 18 features, from one
// field (numeric model, section 6.12).

#ifndef MFN_SERVER_ENGINE_MATH_STREAM_FEATURES_H_
#define MFN_SERVER_ENGINE_MATH_STREAM_FEATURES_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "server/engine/error.h"

namespace mfn::engine {

struct StreamFeatures {
  double pot_mean_mv = 0.0;
  double pot_std_mv = 0.0;
  double pot_min_mv = 0.0;
  double pot_max_mv = 0.0;
  double active_nodes = 0.0;    // cells with |V| > 10 mV
  double activity_ratio = 0.0;  // of all cells
  // From the smallest and the largest box size only, in [0, 2]; 1 for fewer than two sizes, NaN if
  // no full box is occupied at either.
  double fractal_dimension = 0.0;
  double total_energy = 0.0;      // V^2
  double spatial_variance = 0.0;  // V^2: mean squared gradient, one-sided on the borders

  std::array<double, 9> ToArray() const;  // in the order of kStreamFeatureNames
};

inline constexpr std::array<std::string_view, 9> kStreamFeatureNames = {
    "pot_mean_mV",    "pot_std_mV",        "pot_min_mV",   "pot_max_mV",      "active_nodes",
    "activity_ratio", "fractal_dimension", "total_energy", "spatial_variance"};

// field_v: grid_size^2 values in volt, row-major, grid_size >= 2. Exact with glibc.
// kInvalidArgument on "grid_size" or "field"; kResourceExhausted on "field" past kMaxFieldCells.
Expected<StreamFeatures> ComputeStreamFeatures(std::span<const double> field_v, int64_t grid_size);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_STREAM_FEATURES_H_
