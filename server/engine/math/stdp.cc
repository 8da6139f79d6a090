// Weight changes from spike times.

#include "server/engine/math/stdp.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mfn::engine {
namespace {

constexpr double kMaxExponent = 50.0;

Expected<void> CheckRange(const char* field, double value, double min, double max) {
  if (value >= min && value <= max) return {};
  return InvalidArgument(field, value, min, max);
}

Expected<void> CheckTimes(const char* field, std::span<const double> times, size_t batch,
                          size_t width) {
  if (times.size() % batch != 0 || times.size() / batch != width) {
    return InvalidArgument(field, std::string(field) + " has " + std::to_string(times.size()) +
                                      " values, must have " + std::to_string(batch) + " rows of " +
                                      std::to_string(width));
  }
  const auto bad =
      std::find_if(times.begin(), times.end(), [](double v) { return !std::isfinite(v); });
  if (bad == times.end()) return {};
  return InvalidArgument(field, std::string(field) + " value " +
                                    std::to_string(bad - times.begin()) + " is " +
                                    FormatDouble(*bad) + ", must be finite");
}

Expected<void> CheckSpikes(const StdpSpikes& spikes) {
  if (spikes.batch == 0 || spikes.n_pre == 0) {
    return InvalidArgument("pre_times", "pre_times is empty, needs at least one row of one time");
  }
  if (spikes.n_post == 0) {
    return InvalidArgument("post_times", "post_times is empty, needs at least one time per row");
  }
  if (auto ok = CheckTimes("pre_times", spikes.pre, spikes.batch, spikes.n_pre); !ok.ok())
    return ok;
  if (auto ok = CheckTimes("post_times", spikes.post, spikes.batch, spikes.n_post); !ok.ok()) {
    return ok;
  }
  // Divisions, since the products might not fit.
  if (spikes.n_pre <= kMaxStdpWeights / spikes.n_post &&
      spikes.batch <= kMaxStdpPairs / (spikes.n_pre * spikes.n_post)) {
    return {};
  }
  Error error;
  error.kind = ErrorKind::kResourceExhausted;
  error.field = "pre_times";
  error.message = std::to_string(spikes.batch) + " rows of " + std::to_string(spikes.n_pre) +
                  " x " + std::to_string(spikes.n_post) + " spike pairs are too many: at most " +
                  std::to_string(kMaxStdpWeights) + " pairs per row and " +
                  std::to_string(kMaxStdpPairs) + " in all";
  return error;
}

}  // namespace

Expected<void> ValidateStdpParams(const StdpParams& params) {
  if (auto ok = CheckRange("tau_plus", params.tau_plus, 0.005, 0.100); !ok.ok()) return ok;
  if (auto ok = CheckRange("tau_minus", params.tau_minus, 0.005, 0.100); !ok.ok()) return ok;
  if (auto ok = CheckRange("a_plus", params.a_plus, 0.001, 0.1); !ok.ok()) return ok;
  return CheckRange("a_minus", params.a_minus, 0.001, 0.1);
}

double StdpPairChange(const StdpParams& params, double delta) {
  if (delta > 0.0) {
    const double exponent = std::clamp(-delta / params.tau_plus, -kMaxExponent, kMaxExponent);
    return params.a_plus * std::exp(exponent);
  }
  if (delta < 0.0) {
    const double exponent = std::clamp(delta / params.tau_minus, -kMaxExponent, kMaxExponent);
    return -params.a_minus * std::exp(exponent);
  }
  return 0.0;
}

Expected<std::vector<double>> StdpWeightChange(const StdpParams& params, const StdpSpikes& spikes,
                                               const CancelCheck& cancel) {
  if (auto ok = ValidateStdpParams(params); !ok.ok()) return ok.error();
  if (auto ok = CheckSpikes(spikes); !ok.ok()) return ok.error();
  std::vector<double> change(spikes.n_pre * spikes.n_post, 0.0);
  for (size_t row = 0; row < spikes.batch; ++row) {
    const auto pre = spikes.pre.subspan(row * spikes.n_pre, spikes.n_pre);
    const auto post = spikes.post.subspan(row * spikes.n_post, spikes.n_post);
    double* out = change.data();
    for (const double pre_time : pre) {
      if (cancel && cancel()) return Cancelled();
      for (const double post_time : post) *out++ += StdpPairChange(params, post_time - pre_time);
    }
  }
  for (double& value : change) value /= static_cast<double>(spikes.batch);
  return change;
}

}  // namespace mfn::engine
