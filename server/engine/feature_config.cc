// The two validators of the feature configuration.

#include <string>
#include <utility>

#include "server/engine/boxcount.h"
#include "server/engine/features.h"

namespace mfn::engine {
namespace {

Expected<void> AtLeast(const char* field, int64_t value, int64_t min) {
  if (value >= min) return {};
  return InvalidArgument(field, static_cast<double>(value), static_cast<double>(min), std::nullopt);
}

}  // namespace

Expected<void> FeatureConfig::Validate() const {
  if (auto valid = AtLeast("min_box_size", min_box_size, 1); !valid.ok()) return valid;
  if (auto valid = AtLeast("num_scales", num_scales, 2); !valid.ok()) return valid;
  if (connectivity != 4 && connectivity != 8) {
    Error error = InvalidArgument(
        "connectivity", "connectivity is " + std::to_string(connectivity) + ", must be 4 or 8");
    error.value = static_cast<double>(connectivity);
    return error;
  }
  if (num_scales > kMaxBoxScales) {
    Error error = InvalidArgument("num_scales", static_cast<double>(num_scales), 2.0,
                                  static_cast<double>(kMaxBoxScales));
    error.kind = ErrorKind::kResourceExhausted;
    return error;
  }
  return {};
}

Expected<void> FeatureConfig::ValidateStrict() const {
  if (auto valid = Validate(); !valid.ok()) return valid;
  if (num_scales > 20) {
    return InvalidArgument("num_scales", static_cast<double>(num_scales), 2.0, 20.0);
  }
  const std::pair<const char*, double> thresholds[] = {{"threshold_low_mv", threshold_low_mv},
                                                       {"threshold_med_mv", threshold_med_mv},
                                                       {"threshold_high_mv", threshold_high_mv}};
  for (const auto& [field, value] : thresholds) {
    if (!(-100.0 <= value && value <= 50.0)) return InvalidArgument(field, value, -100.0, 50.0);
  }
  if (!(threshold_low_mv < threshold_med_mv)) {
    return InvalidArgument("threshold_med_mv", "threshold_med_mv must be above threshold_low_mv");
  }
  if (!(threshold_med_mv < threshold_high_mv)) {
    return InvalidArgument("threshold_high_mv", "threshold_high_mv must be above threshold_med_mv");
  }
  if (max_box_size) {
    if (auto valid = AtLeast("max_box_size", *max_box_size, min_box_size); !valid.ok()) {
      return valid;
    }
  }
  if (auto valid = AtLeast("stability_window", stability_window, 1); !valid.ok()) return valid;
  if (!(stability_threshold_mv >= 0.0)) {
    return InvalidArgument("stability_threshold_mv", stability_threshold_mv, 0.0, std::nullopt);
  }
  return {};
}

}  // namespace mfn::engine
