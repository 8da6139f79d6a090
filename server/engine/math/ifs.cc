// Drawing the transforms, iterating them, and the checks of the validated variant.

#include "server/engine/math/ifs.h"

#include <algorithm>
#include <cmath>

namespace mfn::engine {
namespace {

constexpr int64_t kPointsBetweenPolls = 4096;  // some 100 us

constexpr double kTwoPi = 6.283185307179586;
constexpr double kMinDeterminant = 1e-10;
constexpr double kBoundedDistance = 100.0;

double AbsDeterminant(const IfsTransform& t) { return std::fabs((t.a * t.d) - (t.b * t.c)); }

// The draw order is part of the numeric model.
IfsTransform DrawTransform(Generator& generator, const IfsOptions& options) {
  const double s = generator.Uniform(options.scale_min, options.scale_max);
  const double theta = generator.Uniform(0.0, kTwoPi);
  IfsTransform t;
  t.a = s * std::cos(theta);
  t.b = (-s) * std::sin(theta);
  t.c = s * std::sin(theta);
  t.d = s * std::cos(theta);
  t.e = generator.Uniform(-options.translation_range, options.translation_range);
  t.f = generator.Uniform(-options.translation_range, options.translation_range);
  return t;
}

Expected<void> CheckCount(const char* field, int64_t value, int64_t max) {
  if (value >= 1 && value <= max) return {};
  return InvalidArgument(field, static_cast<double>(value), 1.0, static_cast<double>(max));
}

Expected<void> CheckOptions(const IfsOptions& options) {
  if (auto ok = CheckCount("num_points", options.num_points, kMaxIfsPoints); !ok.ok()) return ok;
  if (auto ok = CheckCount("num_transforms", options.num_transforms, kMaxIfsTransforms); !ok.ok()) {
    return ok;
  }
  const struct {
    const char* field;
    double value;
  } reals[] = {{"scale_min", options.scale_min},
               {"scale_max", options.scale_max},
               {"translation_range", options.translation_range}};
  for (const auto& real : reals) {
    if (std::isfinite(real.value)) continue;
    return InvalidArgument(real.field, std::string(real.field) + " is " + FormatDouble(real.value) +
                                           ", must be finite");
  }
  return {};
}

// Keeps a NaN once one was seen, which std::max would drop.
double MaxAbs(double so_far, double value) {
  const double magnitude = std::fabs(value);
  return so_far < magnitude || std::isnan(magnitude) ? magnitude : so_far;
}

Expected<void> CheckRange(const char* field, double value, double min, double max) {
  if (value >= min && value <= max) return {};
  return OutOfRange(field, value, min, max);
}

}  // namespace

Expected<IfsResult> RunIfs(Generator& generator, const IfsOptions& options,
                           const CancelCheck& cancel) {
  if (auto ok = CheckOptions(options); !ok.ok()) return ok.error();
  IfsResult result;
  std::vector<double> determinants;
  for (int64_t k = 0; k < options.num_transforms; ++k) {
    result.transforms.push_back(DrawTransform(generator, options));
    determinants.push_back(AbsDeterminant(result.transforms.back()));
  }
  if (options.keep_points) result.points.reserve(static_cast<size_t>(2 * options.num_points));

  double x = 0.0;
  double y = 0.0;
  double sum_of_logs = 0.0;
  for (int64_t point = 0; point < options.num_points; ++point) {
    if (point % kPointsBetweenPolls == 0 && IsCancelled(cancel)) return Cancelled();
    const uint64_t k = generator.Integers(static_cast<uint64_t>(options.num_transforms));
    const IfsTransform& t = result.transforms[k];
    const double next_x = ((t.a * x) + (t.b * y)) + t.e;
    y = ((t.c * x) + (t.d * y)) + t.f;
    x = next_x;
    if (options.keep_points) result.points.insert(result.points.end(), {x, y});
    result.max_abs_coordinate = MaxAbs(MaxAbs(result.max_abs_coordinate, x), y);
    if (determinants[k] > kMinDeterminant) sum_of_logs += std::log(determinants[k]);
  }
  result.lyapunov_exponent = sum_of_logs / static_cast<double>(options.num_points);
  return result;
}

Expected<void> ValidateFractalConfig(const FractalConfig& config) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  if (auto ok = CheckRange("num_points", real(config.num_points), 1000, 100000); !ok.ok())
    return ok;
  if (auto ok = CheckRange("num_transforms", real(config.num_transforms), 2, 8); !ok.ok())
    return ok;
  if (!(config.scale_min > 0.0)) {
    Error error = OutOfRange("scale_min", config.scale_min, 0.0, config.scale_max);
    error.message = "scale_min is " + FormatDouble(config.scale_min) + ", must be above 0";
    return error;
  }
  if (config.scale_max >= 1.0) {
    Error error = OutOfRange("scale_max", config.scale_max, std::nullopt, 1.0);
    error.kind = ErrorKind::kStability;
    error.message = "scale_max is " + FormatDouble(config.scale_max) +
                    ", must be below 1 for the transforms to contract";
    return error;
  }
  if (!(config.scale_min <= config.scale_max)) {
    Error error = OutOfRange("scale_min", config.scale_min, 0.0, config.scale_max);
    error.message = "scale_min is " + FormatDouble(config.scale_min) +
                    ", must not be above scale_max, " + FormatDouble(config.scale_max);
    return error;
  }
  if (auto ok = CheckRange("translation_range", config.translation_range, 0.0, 2.0); !ok.ok()) {
    return ok;
  }
  if (config.min_box_size < 1) {
    return OutOfRange("min_box_size", real(config.min_box_size), 1.0, std::nullopt);
  }
  return CheckRange("num_scales", real(config.num_scales), 3, 10);
}

Expected<FractalResult> RunFractal(const FractalConfig& config, const Seed& seed,
                                   int64_t num_points_override, int64_t num_transforms_override) {
  if (auto ok = ValidateFractalConfig(config); !ok.ok()) return ok.error();
  IfsOptions options;
  options.num_points = num_points_override != 0 ? num_points_override : config.num_points;
  options.num_transforms =
      num_transforms_override != 0 ? num_transforms_override : config.num_transforms;
  options.scale_min = config.scale_min;
  options.scale_max = config.scale_max;
  options.translation_range = config.translation_range;
  Generator generator(seed);
  Expected<IfsResult> ifs = RunIfs(generator, options);
  if (!ifs.ok()) return ifs.error();

  FractalResult result;
  result.ifs = std::move(ifs).value();
  result.max_point_distance = result.ifs.max_abs_coordinate;
  if (!(result.max_point_distance < kBoundedDistance)) {
    Error error;
    error.kind = std::isfinite(result.max_point_distance) ? ErrorKind::kStability
                                                          : ErrorKind::kNumericalInstability;
    error.field = "points";
    error.value = result.max_point_distance;
    error.message = "a fractal point has the coordinate " +
                    FormatDouble(result.max_point_distance) + ", must stay below 100";
    return error;
  }
  result.is_contractive = result.ifs.lyapunov_exponent < 0.0;
  result.contraction_valid =
      std::all_of(result.ifs.transforms.begin(), result.ifs.transforms.end(),
                  [](const IfsTransform& t) { return AbsDeterminant(t) < 1.0; });
  return result;
}

}  // namespace mfn::engine
