// Fractal points from an iterated function system of random contractions, and its Lyapunov exponent
// (numeric model, section 6.2): the free function and the validated engine around it.

#ifndef MFN_SERVER_ENGINE_MATH_IFS_H_
#define MFN_SERVER_ENGINE_MATH_IFS_H_

#include <cstdint>
#include <vector>

#include "server/engine/cancel.h"
#include "server/engine/error.h"
#include "server/engine/rng.h"
#include "server/engine/seed.h"

namespace mfn::engine {

// Limits of one call: at most 16 MB of points.
inline constexpr int64_t kMaxIfsPoints = 1'000'000;
inline constexpr int64_t kMaxIfsTransforms = 1024;

// (x, y) -> (a x + b y + e, c x + d y + f)
struct IfsTransform {
  double a, b, c, d, e, f;
};

struct IfsOptions {
  int64_t num_points = 10000;  // [1, kMaxIfsPoints]
  int64_t num_transforms = 4;  // [1, kMaxIfsTransforms]
  double scale_min = 0.2;      // the linear part is a rotation times uniform(scale_min, scale_max)
  double scale_max = 0.5;
  double translation_range = 1.0;  // e and f are uniform(-range, range)
  bool keep_points = true;         // false: IfsResult::points stays empty
};

struct IfsResult {
  std::vector<double> points;  // x0, y0, x1, y1, ...
  std::vector<IfsTransform> transforms;
  // Mean of log|det| over the transforms that were applied; negative for contractions. Exact with
  // glibc, otherwise within 1e-12.
  double lyapunov_exponent = 0.0;
  double max_abs_coordinate = 0.0;  // largest |x| or |y| over all points; NaN if any is NaN
};

// Continues the generator's stream. kInvalidArgument on the name of an option out of its range or
// not finite. Scales are otherwise unchecked here: with scales above 1 the points may diverge.
// `cancel` is polled every few thousand points.
Expected<IfsResult> RunIfs(Generator& generator, const IfsOptions& options,
                           const CancelCheck& cancel = {});

// The validated variant. Defaults and ranges of section 6.2; min_box_size and num_scales configure
// the box counting of the same engine.
struct FractalConfig {
  int64_t num_points = 10000;      // [1000, 100000]
  int64_t num_transforms = 4;      // [2, 8]
  double scale_min = 0.2;          // (0, scale_max]
  double scale_max = 0.5;          // < 1
  double translation_range = 1.0;  // [0, 2]
  int64_t min_box_size = 2;        // >= 1
  int64_t num_scales = 5;          // [3, 10]
};

// kOutOfRange on the field concerned; kStability if scale_max >= 1.
Expected<void> ValidateFractalConfig(const FractalConfig& config);

struct FractalResult {
  IfsResult ifs;
  double max_point_distance = 0.0;  // ifs.max_abs_coordinate; below 100
  bool is_contractive = false;      // exponent < 0
  bool contraction_valid = false;   // |ad - bc| < 1 for every transform
};

// A fresh generator per call. The overrides replace the configured numbers and are limited only as
// in IfsOptions; 0 means "as configured". kStability if a coordinate reaches 100,
// kNumericalInstability if one is NaN or infinite.
Expected<FractalResult> RunFractal(const FractalConfig& config, const Seed& seed,
                                   int64_t num_points_override = 0,
                                   int64_t num_transforms_override = 0);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_IFS_H_
