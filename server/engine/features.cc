// The 18 features: temporal ones grow frame by frame, static ones are taken from the last frame.

#include "server/engine/features.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "server/engine/boxcount.h"
#include "server/engine/clusters.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kMvPerV = 1000.0;

// The larger value, NaN if either is NaN.
double MaxOrNan(double a, double b) { return a > b || a != a ? a : b; }
double MinOrNan(double a, double b) { return a < b || a != a ? a : b; }

FieldStatisticsMv StatisticsMv(std::span<const double> v) {
  const auto mv = [v](size_t k) { return v[k] * kMvPerV; };
  FieldStatisticsMv s;
  s.min = s.max = mv(0);
  for (size_t k = 1; k < v.size(); ++k) {
    s.min = MinOrNan(s.min, mv(k));
    s.max = MaxOrNan(s.max, mv(k));
  }
  s.mean = SumOf(v.size(), mv) / static_cast<double>(v.size());
  s.std = StdOf(v.size(), s.mean, mv);
  return s;
}

// Section 5.2. pow from the C library, for its last bit.
void AddMoments(std::span<const double> v, Features& f) {
  if (!(f.v_std > 1e-10)) return;
  const double n = static_cast<double>(v.size());
  const auto moment = [v, &f, n](double power) {
    return SumOf(v.size(), [&](size_t k) { return std::pow(v[k] * kMvPerV - f.v_mean, power); }) /
           n;
  };
  f.v_skew = moment(3.0) / std::pow(f.v_std, 3.0);
  f.v_kurt = moment(4.0) / std::pow(f.v_std, 4.0) - 3.0;
}

// Section 5.4, and 5.1 for the image at the low threshold.
Expected<void> AddStructure(std::span<const double> v, int64_t n, const FeatureConfig& config,
                            Features& f) {
  const Connectivity connectivity =
      config.connectivity == 8 ? Connectivity::kEight : Connectivity::kFour;
  const std::vector<uint8_t> low = ActiveCells(v, config.threshold_low_mv / kMvPerV);
  const BoxSizeRule rule = {config.min_box_size, config.max_box_size, config.num_scales};
  auto fit = FeatureBoxDimension({low, n}, rule);
  if (!fit.ok()) return fit.error();
  f.d_box = fit->dimension;
  f.d_r2 = fit->r2;
  f.f_active =
      static_cast<double>(std::count(low.begin(), low.end(), 1)) / static_cast<double>(v.size());
  const auto clusters_above = [&](double threshold_mv) {
    const std::vector<uint8_t> mask = ActiveCells(v, threshold_mv / kMvPerV);
    return static_cast<int64_t>(ClusterSizes({mask, n}, connectivity).size());
  };
  const std::vector<int64_t> sizes = ClusterSizes({low, n}, connectivity);
  f.n_clusters_low = static_cast<int64_t>(sizes.size());
  f.n_clusters_med = clusters_above(config.threshold_med_mv);
  f.n_clusters_high = clusters_above(config.threshold_high_mv);
  if (!sizes.empty()) f.max_cluster_size = *std::max_element(sizes.begin(), sizes.end());
  if (sizes.size() >= 2) {
    f.cluster_size_std = Std(std::vector<double>(sizes.begin(), sizes.end()));
  }
  return {};
}

}  // namespace

std::array<double, kFeatureCount> Features::ToArray() const {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  return {d_box,
          d_r2,
          v_min,
          v_max,
          v_mean,
          v_std,
          v_skew,
          v_kurt,
          dv_mean,
          dv_max,
          real(t_stable),
          e_trend,
          f_active,
          real(n_clusters_low),
          real(n_clusters_med),
          real(n_clusters_high),
          real(max_cluster_size),
          cluster_size_std};
}

FeatureAccumulator::FeatureAccumulator(int64_t grid_size, const FeatureConfig& config)
    : config_(config), grid_size_(grid_size) {
  const size_t cells = static_cast<size_t>(grid_size * grid_size);
  last_v_.resize(cells);
  change_.resize(cells);
  pending_.reserve(kSumChunk);
}

Expected<FeatureAccumulator> FeatureAccumulator::Create(int64_t grid_size,
                                                        const FeatureConfig& config) {
  if (auto valid = config.Validate(); !valid.ok()) return valid.error();
  if (grid_size < 1 || grid_size > kMaxFeatureGridSize) {
    return InvalidArgument("grid_size", static_cast<double>(grid_size), 1.0,
                           static_cast<double>(kMaxFeatureGridSize));
  }
  return FeatureAccumulator(grid_size, config);
}

Expected<void> FeatureAccumulator::AddFrame(std::span<const double> frame_v) {
  if (frame_v.size() != last_v_.size()) {
    return InvalidArgument("field", "the frame has " + std::to_string(frame_v.size()) +
                                        " values, must have " + std::to_string(last_v_.size()) +
                                        " (grid_size " + std::to_string(grid_size_) + " squared)");
  }
  if (frames_ > 0) AddChange(frame_v);
  AddEnergy(frame_v);
  std::copy(frame_v.begin(), frame_v.end(), last_v_.begin());
  ++frames_;
  return {};
}

// dV_mean is one flat mean over all changes: its chunks of 8192 do not stop at a frame's end.
void FeatureAccumulator::AddChange(std::span<const double> frame_v) {
  for (size_t k = 0; k < frame_v.size(); ++k) {
    change_[k] = std::fabs(frame_v[k] * kMvPerV - last_v_[k] * kMvPerV);
    change_max_ = MaxOrNan(change_max_, change_[k]);
  }
  for (size_t k = 0; k < change_.size();) {
    const size_t take = std::min(kSumChunk - pending_.size(), change_.size() - k);
    const auto from = change_.begin() + static_cast<std::ptrdiff_t>(k);
    pending_.insert(pending_.end(), from, from + static_cast<std::ptrdiff_t>(take));
    k += take;
    if (pending_.size() == kSumChunk) {
      change_sum_ += PairwiseSumOf(0, kSumChunk, [this](size_t q) { return pending_[q]; });
      pending_.clear();
    }
  }
  if (!stable_at_) ScanStability();
}

// Section 5.3: the spatial deviation of the change must stay small for a whole window.
void FeatureAccumulator::ScanStability() {
  if (!(Std(change_) < config_.stability_threshold_mv)) {
    stable_run_ = 0;
    return;
  }
  ++stable_run_;
  const int64_t t = frames_ - 1;  // the change leads from frame t to frame t + 1
  if (stable_run_ >= config_.stability_window) stable_at_ = t - config_.stability_window + 2;
}

// Running covariance of (t, E): no energy needs to be kept.
void FeatureAccumulator::AddEnergy(std::span<const double> frame_v) {
  const double energy = SumOf(frame_v.size(), [frame_v](size_t k) {
    const double h = frame_v[k] * kMvPerV;
    return h * h;
  });
  const double n = static_cast<double>(frames_);
  const double t_from_mean = n - (n - 1.0) / 2.0;  // t = n against the mean of 0..n-1
  energy_mean_ += (energy - energy_mean_) / (n + 1.0);
  if (frames_ > 0) energy_covariance_ += t_from_mean * (energy - energy_mean_);
}

Expected<Features> FeatureAccumulator::Finish() const {
  if (frames_ == 0) return InvalidArgument("field", "features need at least one frame");
  Features f;
  const FieldStatisticsMv statistics = StatisticsMv(last_v_);
  f.v_min = statistics.min;
  f.v_max = statistics.max;
  f.v_mean = statistics.mean;
  f.v_std = statistics.std;
  AddMoments(last_v_, f);
  if (auto added = AddStructure(last_v_, grid_size_, config_, f); !added.ok()) return added.error();
  if (frames_ < 2) return f;
  const double changes = static_cast<double>(frames_ - 1) * static_cast<double>(last_v_.size());
  double change_sum = change_sum_;
  if (!pending_.empty()) {
    change_sum += PairwiseSumOf(0, pending_.size(), [this](size_t q) { return pending_[q]; });
  }
  f.dv_mean = change_sum / changes;
  f.dv_max = change_max_;
  f.t_stable = stable_at_.value_or(frames_);
  const double t = static_cast<double>(frames_);
  f.e_trend = energy_covariance_ / (t * (t * t - 1.0) / 12.0);
  return f;
}

Expected<Features> ExtractFeatures(std::span<const double> frames_v, int64_t num_frames,
                                   int64_t grid_size, const FeatureConfig& config) {
  auto accumulator = FeatureAccumulator::Create(grid_size, config);
  if (!accumulator.ok()) return accumulator.error();
  const size_t cells = static_cast<size_t>(grid_size * grid_size);
  if (num_frames < 1 || frames_v.size() % cells != 0 ||
      frames_v.size() / cells != static_cast<size_t>(num_frames)) {
    return InvalidArgument("field", "the history has " + std::to_string(frames_v.size()) +
                                        " values, must have " + std::to_string(num_frames) +
                                        " (>= 1) frames of " + std::to_string(cells));
  }
  for (size_t t = 0; t < static_cast<size_t>(num_frames); ++t) {
    auto added = accumulator->AddFrame(frames_v.subspan(t * cells, cells));
    if (!added.ok()) return added.error();
  }
  return accumulator->Finish();
}

std::vector<std::string> FeatureWarnings(const Features& f, bool strict) {
  std::vector<std::string> warnings;
  const auto range = [&warnings](const char* name, double value, double min, double max) {
    if (value >= min && value <= max) return;
    warnings.push_back(std::string(name) + " is " + FormatDouble(value) + ", expected in [" +
                       FormatDouble(min) + ", " + FormatDouble(max) + "]");
  };
  range("D_box", f.d_box, strict ? 1.4 : 0.0, strict ? 1.9 : 2.5);
  range("D_r2", f.d_r2, 0.0, 1.0);
  range("f_active", f.f_active, 0.0, 1.0);
  if (f.v_min < -100.0) warnings.push_back("V_min is " + FormatDouble(f.v_min) + ", below -100 mV");
  if (f.v_max > 50.0) warnings.push_back("V_max is " + FormatDouble(f.v_max) + ", above 50 mV");
  const auto values = f.ToArray();
  for (size_t k = 0; k < values.size(); ++k) {
    if (std::isfinite(values[k])) continue;
    warnings.push_back(std::string(kFeatureNames[k]) + " is " + FormatDouble(values[k]));
  }
  return warnings;
}

Expected<double> FractalDimension(std::span<const double> field_v, int64_t grid_size,
                                  int64_t num_scales, double threshold_v) {
  const std::vector<uint8_t> active = ActiveCells(field_v, (threshold_v * kMvPerV) / kMvPerV);
  BoxSizeRule rule;
  rule.num_scales = num_scales;
  auto fit = FeatureBoxDimension({active, grid_size}, rule);
  if (!fit.ok()) return fit.error();
  return fit->dimension;
}

Expected<FieldStatisticsMv> FieldStatisticsInMv(std::span<const double> field_v) {
  if (field_v.empty()) return InvalidArgument("field", "the field is empty");
  return StatisticsMv(field_v);
}

}  // namespace mfn::engine
