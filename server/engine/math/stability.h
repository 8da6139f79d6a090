// How fast a recorded history of fields still moves: the mean log step size (called Lyapunov
// exponent in the numeric model, section 6.4) and the change rates beside it.

#ifndef MFN_SERVER_ENGINE_MATH_STABILITY_H_
#define MFN_SERVER_ENGINE_MATH_STABILITY_H_

#include <cstddef>
#include <span>

#include "server/engine/error.h"

namespace mfn::engine {

// A history that the caller owns: `frames` fields of `cells` values each, frame after frame.
// values.size() == frames * cells, all finite; any unit, any number of frames including 0.
struct HistoryView {
  std::span<const double> values;
  size_t frames = 0;
  size_t cells = 0;
};

struct StabilityMetrics {
  double lyapunov_exponent = 0.0;
  double is_stable = 0.0;  // 1.0 if the exponent is below 0, else 0.0
  double mean_change_rate =
      0.0;  // mean |difference of consecutive frames| / dt; 0 below two frames
  double max_change_rate = 0.0;
  double final_std = 0.0;  // of the last frame; 0 for an empty history
};

// The mean over the steps of log |step|_2 / dt, leaving out steps of length up to 1e-10; 0 below
// two frames or if every step is left out. It is not a true Lyapunov exponent: negative means
// "steps shorter than 1 in the history's unit". Exact with glibc's log. kInvalidArgument on
// "history" (size, cells 0, not finite) or "dt" (must be positive and finite).
Expected<double> HistoryLyapunov(const HistoryView& history, double dt = 1.0);

// Same errors.
Expected<StabilityMetrics> ComputeStabilityMetrics(const HistoryView& history, double dt = 1.0);

// Whether an exponent means stability: strictly below the threshold.
inline bool IsStable(double lyapunov_exponent, double threshold = 0.0) {
  return lyapunov_exponent < threshold;
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_STABILITY_H_
