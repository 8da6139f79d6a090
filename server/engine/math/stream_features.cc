// The nine figures of a live frame.

#include "server/engine/math/stream_features.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "server/engine/boxcount.h"
#include "server/engine/math/stencil.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kActiveV = 0.01;

double EndpointDimension(const BinaryImage& image) {
  constexpr std::array<int64_t, 4> kSizes = {2, 4, 8, 16};
  const auto end = std::upper_bound(kSizes.begin(), kSizes.end(), image.n());
  const auto counts = CountBoxes(image, {kSizes.begin(), end});
  if (counts.size() < 2) return 1.0;
  const auto log_of = [](int64_t n) { return std::log(static_cast<double>(n)); };
  const BoxCount& first = counts.front();
  const BoxCount& last = counts.back();
  const double slope =
      (log_of(last.count) - log_of(first.count)) / (log_of(last.size) - log_of(first.size));
  // A NaN passes std::clamp unchanged.
  return std::clamp(-slope, 0.0, 2.0);
}

}  // namespace

std::array<double, 9> StreamFeatures::ToArray() const {
  return {pot_mean_mv,    pot_std_mv,        pot_min_mv,   pot_max_mv,      active_nodes,
          activity_ratio, fractal_dimension, total_energy, spatial_variance};
}

Expected<StreamFeatures> ComputeStreamFeatures(std::span<const double> field_v, int64_t grid_size) {
  if (grid_size < 2) {
    return InvalidArgument("grid_size", static_cast<double>(grid_size), 2.0, std::nullopt);
  }
  const FieldView view{field_v, static_cast<size_t>(grid_size), static_cast<size_t>(grid_size)};
  const Expected<FieldNumbers> numbers = NumbersOf(view);
  if (!numbers.ok()) return numbers.error();
  const Expected<FieldGradient> gradient = Gradient(view, Boundary::kNeumann);
  if (!gradient.ok()) return gradient.error();

  StreamFeatures features;
  features.pot_mean_mv = numbers->mean * 1000.0;
  features.pot_std_mv = numbers->std * 1000.0;
  features.pot_min_mv = numbers->min * 1000.0;
  features.pot_max_mv = numbers->max * 1000.0;
  const double cells = static_cast<double>(field_v.size());
  std::vector<uint8_t> active(field_v.size());
  std::transform(field_v.begin(), field_v.end(), active.begin(),
                 [](double v) { return static_cast<uint8_t>(std::fabs(v) > kActiveV); });
  features.active_nodes = static_cast<double>(std::count(active.begin(), active.end(), 1));
  features.activity_ratio = features.active_nodes / cells;
  features.fractal_dimension = EndpointDimension({active, grid_size});
  features.total_energy =
      SumOf(field_v.size(), [field_v](size_t k) { return field_v[k] * field_v[k]; });
  const auto& gx = gradient->axis0;
  const auto& gy = gradient->axis1;
  features.spatial_variance =
      SumOf(field_v.size(), [&gx, &gy](size_t k) { return gx[k] * gx[k] + gy[k] * gy[k]; }) / cells;
  return features;
}

}  // namespace mfn::engine
