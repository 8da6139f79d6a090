// The 18 features: temporal ones grow frame by frame, static ones are taken from the last frame.

#include "server/engine/features.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "server/engine/boxcount.h"
#include "server/engine/clusters.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/lanes_simd.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kMvPerV = 1000.0;

// The larger value, NaN if either is NaN.
double MaxOrNan(double a, double b) { return a > b || a != a ? a : b; }

// `f` in mV.
FieldStatisticsMv StatisticsMv(std::span<const double> f) {
  FieldStatisticsMv s;
  s.mean = Mean(f);
  s.std = Std(f, s.mean);
  const Range range = RangeOrNan(f, s.mean);
  s.min = range.min;
  s.max = range.max;
  return s;
}

// Section 5.2, with powers by multiplication.
void AddMoments(std::span<const double> mv, Features& f) {
  if (!(f.v_std > 1e-10)) return;
  const double n = static_cast<double>(mv.size());
  const CentralSums sums = SumCentralPowers(mv.data(), mv.size(), f.v_mean);
  f.v_skew = sums.third / n / std::pow(f.v_std, 3.0);
  f.v_kurt = sums.fourth / n / std::pow(f.v_std, 4.0) - 3.0;
}

// Section 5.4, and 5.1 for the image at the low threshold.
Expected<void> AddStructure(std::span<const double> v, int64_t n, const FeatureConfig& config,
                            const CancelCheck& cancel, Features& f) {
  const Connectivity connectivity =
      config.connectivity == 8 ? Connectivity::kEight : Connectivity::kFour;
  BinaryImage image;
  image.SetAbove(v, n, config.threshold_low_mv / kMvPerV);
  const BoxSizeRule rule = {config.min_box_size, config.max_box_size, config.num_scales};
  auto fit = FeatureBoxDimension(image, rule, cancel);
  if (!fit.ok()) return fit.error();
  f.d_box = fit->dimension;
  f.d_r2 = fit->r2;
  f.f_active = static_cast<double>(image.CountActive()) / static_cast<double>(v.size());
  if (IsCancelled(cancel)) return Cancelled();
  const std::vector<int64_t> sizes = ClusterSizes(image, connectivity);
  f.n_clusters_low = static_cast<int64_t>(sizes.size());
  for (const auto& [threshold_mv, clusters] :
       {std::pair(config.threshold_med_mv, &f.n_clusters_med),
        std::pair(config.threshold_high_mv, &f.n_clusters_high)}) {
    if (IsCancelled(cancel)) return Cancelled();
    image.SetAbove(v, n, threshold_mv / kMvPerV);
    *clusters = static_cast<int64_t>(ClusterSizes(image, connectivity).size());
  }
  if (!sizes.empty()) f.max_cluster_size = *std::max_element(sizes.begin(), sizes.end());
  if (sizes.size() >= 2) {
    f.cluster_size_std = Std(std::vector<double>(sizes.begin(), sizes.end()));
  }
  return {};
}

// The pairwise sum of `count` leaves, a power of two; overwrites them.
double TreeOfLeaves(double* sums, size_t count) {
  for (; count > 1; count /= 2) {
    for (size_t k = 0; k < count / 2; ++k) sums[k] = sums[2 * k] + sums[2 * k + 1];
  }
  return sums[0];
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

Expected<FeatureAccumulator> FeatureAccumulator::Create(int64_t grid_size,
                                                        const FeatureConfig& config) {
  FeatureAccumulator accumulator;
  if (auto reset = accumulator.Reset(grid_size, config); !reset.ok()) return reset.error();
  return accumulator;
}

Expected<void> FeatureAccumulator::Reset(int64_t grid_size, const FeatureConfig& config) {
  if (auto valid = config.Validate(); !valid.ok()) return valid;
  if (grid_size < 1 || grid_size > kMaxFeatureGridSize) {
    return InvalidArgument("grid_size", static_cast<double>(grid_size), 1.0,
                           static_cast<double>(kMaxFeatureGridSize));
  }
  config_ = config;
  grid_size_ = grid_size;
  cells_ = static_cast<size_t>(grid_size * grid_size);
  // Then what a chunk leaves over is half a chunk, whose leaves are blocks as well.
  keeps_changes_ = cells_ % (kSumChunk / 2) != 0;
  mv_.resize(cells_);
  // What is pending is less than a chunk; with room for another, it rarely has to be moved.
  changes_.resize(cells_ + 2 * kSumChunk);
  leaf_sums_.resize(changes_.size() / kSumLeaf + 1);
  leaf_energies_.resize(cells_ / kSumLeaf);
  frames_ = stable_run_ = 0;
  at_ = pending_ = frame_at_ = 0;
  stable_at_.reset();
  close_ = false;
  change_sum_ = change_max_ = energy_mean_ = energy_covariance_ = 0.0;
  return {};
}

Expected<void> FeatureAccumulator::AddFrame(std::span<const double> frame_v) {
  if (frame_v.size() != cells_) {
    return InvalidArgument("field", "the frame has " + std::to_string(frame_v.size()) +
                                        " values, must have " + std::to_string(cells_) +
                                        " (grid_size " + std::to_string(grid_size_) + " squared)");
  }
  last_v_.resize(cells_);
  Advance(last_v_.data(), frame_v.data(), cells_, nullptr);
  std::copy(frame_v.begin(), frame_v.end(), last_v_.begin());
  return {};
}

template <typename T>
void FeatureAccumulator::Advance(const T* before, const T* frame_v, size_t ready,
                                 const Cell* changed, size_t lanes) {
  if (at_ == 0) BeginFrame();
  const Pair<T> pair = {before, frame_v, frames_ > 0 ? changed : nullptr, lanes};
  const size_t end = ready / pair.Unit() * pair.Unit();
  if (pair.changed != nullptr && pair.changed->index >= at_ && pair.changed->index < end) {
    AddLeaves(pair, pair.changed->index / pair.Unit() * pair.Unit());
    AddLeavesWithChangedCell(pair);
  }
  AddLeaves(pair, end);
  if (ready == cells_) EndFrame(pair);
}

template void FeatureAccumulator::Advance(const double*, const double*, size_t, const Cell*,
                                          size_t);
template void FeatureAccumulator::Advance(const float*, const float*, size_t, const Cell*, size_t);

void FeatureAccumulator::AddTapped(const double* before, const double* frame_v, size_t lanes,
                                   std::optional<size_t> spiked, double* tap) {
  BeginFrame();
  const Pair<double> pair = {before, frame_v, nullptr, lanes, static_cast<size_t>(grid_size_) / 8};
  if (spiked) {
    // The partial sum that the cell's change went into, once more.
    const size_t lane = *spiked % lanes;
    const size_t row = *spiked / lanes / (8 * pair.eighth);
    const size_t part = *spiked / lanes % (8 * pair.eighth) / pair.eighth;
    const size_t unit = (row * 8 * pair.eighth) / kSumLeaf;
    double sum = 0.0;
    for (size_t k = part; k < kSumLeaf; k += 8) {
      const size_t at = pair.PlaceOf(unit * kSumLeaf + k, lane);
      sum += std::fabs(frame_v[at] * kMvPerV - before[at] * kMvPerV);
    }
    tap[(unit * kTapVectors + part) * lanes + lane] = sum;
  }
  AddTappedLeaves(tap, before, frame_v, cells_ / pair.Unit(), pair.eighth,
                  {leaf_energies_.data(), leaf_sums_.data() + frame_at_ / kSumLeaf}, &sums_);
  at_ = cells_;
  EndFrame(pair);
}

void FeatureAccumulator::BeginFrame() {
  sums_.largest = LargestToBeat();
  sums_.per_cell = close_;
  std::fill_n(sums_.group_sum, 8, 0.0);
  std::fill_n(sums_.group_square, 8, 0.0);
  tail_energy_ = 0.0;
  if (pending_ == frame_at_) pending_ = frame_at_ = 0;
  if (frame_at_ + cells_ <= changes_.size()) return;
  const size_t rest = frame_at_ - pending_;
  if (keeps_changes_) {
    std::copy_n(changes_.begin() + static_cast<std::ptrdiff_t>(pending_), rest, changes_.begin());
  } else {
    std::copy_n(leaf_sums_.begin() + static_cast<std::ptrdiff_t>(pending_ / kSumLeaf),
                rest / kSumLeaf, leaf_sums_.begin());
  }
  pending_ = 0;
  frame_at_ = rest;
}

// A NaN would be compared with every change, and is kept anyway.
double FeatureAccumulator::LargestToBeat() const {
  return std::isnan(change_max_) ? std::numeric_limits<double>::infinity() : change_max_;
}

FrameSums FeatureAccumulator::NoSums() const {
  FrameSums sums;
  sums.largest = LargestToBeat();
  sums.per_cell = close_;
  return sums;
}

bool FeatureAccumulator::Suffices(const FrameDraft& draft) const {
  const double* sums = draft.sums().group_sum;
  return std::isfinite(std::accumulate(sums, sums + 8, 0.0)) &&
         (stable_at_ || Stable(draft.sums(), cells_));
}

void FeatureAccumulator::AddDraft(const FrameDraft& draft) {
  BeginFrame();
  std::copy(draft.energies().begin(), draft.energies().end(), leaf_energies_.begin());
  std::copy(draft.changes().begin(), draft.changes().end(),
            leaf_sums_.begin() + static_cast<std::ptrdiff_t>(frame_at_ / kSumLeaf));
  AddEnergy(cells_);
  if (!stable_at_) CountStable(*Stable(draft.sums(), cells_), draft.sums(), cells_, 3.0);
  change_max_ = MaxOrNan(change_max_, draft.sums().largest);
  frame_at_ += cells_;
  SumFullChunks();
  ++frames_;
}

template <typename T>
void FeatureAccumulator::AddLeaves(const Pair<T>& pair, size_t end) {
  if (end > at_) AddUnits(pair, pair.before + at_, (end - at_) / pair.Unit());
}

template <typename T>
void FeatureAccumulator::AddLeavesWithChangedCell(const Pair<T>& pair) {
  alignas(kCacheLine) T before[kSumLeaf * kMaxLanes];
  std::copy_n(pair.before + at_, pair.Unit(), before);
  before[pair.changed->index - at_] = static_cast<T>(pair.changed->volt);
  AddUnits(pair, before, 1);
}

// The next so many leaves of each lane; `before` is where the last frame has them.
template <typename T>
void FeatureAccumulator::AddUnits(const Pair<T>& pair, const T* before, size_t count) {
  if (frames_ == 0) before = nullptr;
  const T* after = pair.after + at_;
  const size_t place = frame_at_ + at_;
  if (pair.lanes == 1) {
    const LeafSums to = {leaf_energies_.data() + at_ / kSumLeaf,
                         leaf_sums_.data() + place / kSumLeaf};
    AddFrameLeaves(before, after, count, keeps_changes_ ? changes_.data() + place : nullptr, to,
                   &sums_);
  } else {
    const size_t first = at_ / pair.Unit();
    const LeafSums to = {leaf_energies_.data() + first,
                         leaf_sums_.data() + frame_at_ / kSumLeaf + first};
    AddFrameByLanes(before, after, pair.lanes, count, cells_ / pair.Unit(), to, &sums_);
  }
  at_ += count * pair.Unit();
}

template <typename T>
void FeatureAccumulator::EndFrame(const Pair<T>& pair) {
  const size_t leaf_cells = at_;
  AddTail(pair);
  AddEnergy(leaf_cells);
  if (frames_ > 0) {
    if (!stable_at_) ScanStability(pair, leaf_cells);
    AddChanges(pair);
  }
  at_ = 0;
  ++frames_;
}

// The cells after the last whole leaf.
template <typename T>
void FeatureAccumulator::AddTail(const Pair<T>& pair) {
  for (; at_ < cells_; ++at_) {
    const double h = pair.After(at_) * kMvPerV;
    tail_energy_ += h * h;
    if (frames_ == 0) continue;
    const double change = std::fabs(h - pair.Before(at_) * kMvPerV);
    changes_[frame_at_ + at_] = change;
    change_max_ = MaxOrNan(change_max_, change);
  }
}

// The changes of the current frame, computed once more if they were not kept.
template <typename T>
std::span<const double> FeatureAccumulator::ChangesOf(const Pair<T>& pair) {
  if (keeps_changes_) return {changes_.data() + frame_at_, cells_};
  const size_t part = cells_ / pair.lanes;
  for (size_t lane = 0; lane < pair.lanes; ++lane) {
    double* const changes = changes_.data() + lane * part;
    for (size_t k = 0; k < part; ++k) {
      const size_t at = pair.PlaceOf(k, lane);
      changes[k] = std::fabs(double{pair.after[at]} * kMvPerV - double{pair.before[at]} * kMvPerV);
    }
  }
  if (pair.changed != nullptr) {
    const size_t at = pair.changed->index;
    changes_[at % pair.lanes * part + at / pair.lanes] =
        std::fabs(pair.After(at) * kMvPerV - pair.changed->volt * kMvPerV);
  }
  return {changes_.data(), cells_};
}

template <typename T>
void FeatureAccumulator::AddChanges(const Pair<T>& pair) {
  change_max_ = MaxOrNan(change_max_, sums_.largest);
  const double total = std::accumulate(sums_.group_sum, sums_.group_sum + 8, 0.0);
  if (!std::isfinite(total)) {
    for (double change : ChangesOf(pair)) change_max_ = MaxOrNan(change_max_, change);
  }
  frame_at_ += cells_;
  SumFullChunks();
}

// dV_mean is one flat mean over all changes: its chunks of 8192 do not stop at a frame's end.
void FeatureAccumulator::SumFullChunks() {
  for (; frame_at_ - pending_ >= kSumChunk; pending_ += kSumChunk) {
    if (keeps_changes_) {
      change_sum_ += SumVectors(changes_.data() + pending_, kSumChunk);
      continue;
    }
    change_sum_ += TreeOfLeaves(leaf_sums_.data() + pending_ / kSumLeaf, kSumChunk / kSumLeaf);
  }
}

// A bound of the sum of squared deviations of the changes, from the groups': cells differ at least
// as much as their groups do.
double FeatureAccumulator::Spread(const FrameSums& sums, size_t leaf_cells) const {
  const double total = std::accumulate(sums.group_sum, sums.group_sum + 8, 0.0);
  const double squares = std::accumulate(sums.group_square, sums.group_square + 8, 0.0);
  return squares / (sums.per_cell ? 1.0 : 16.0) - total * total / static_cast<double>(leaf_cells);
}

// Whether the deviation of the changes is below the threshold, if that is certain. The margins
// cover all rounding.
std::optional<bool> FeatureAccumulator::Stable(const FrameSums& sums, size_t leaf_cells) const {
  if (leaf_cells == 0) return std::nullopt;
  const double spread = Spread(sums, leaf_cells);
  const double squares = std::accumulate(sums.group_square, sums.group_square + 8, 0.0);
  const double threshold = config_.stability_threshold_mv;
  const double limit = threshold * threshold * static_cast<double>(cells_);
  if (spread * (1.0 - 1e-6) - squares * 1e-9 > limit) return false;
  const bool exact = sums.per_cell && leaf_cells == cells_;
  if (exact && spread * (1.0 + 1e-6) + squares * 1e-9 < limit) return true;
  return std::nullopt;
}

// Section 5.3: the spatial deviation of the change must stay small for a whole window.
void FeatureAccumulator::CountStable(bool stable, const FrameSums& sums, size_t leaf_cells,
                                     double margin) {
  stable_run_ = stable ? stable_run_ + 1 : 0;
  const int64_t t = frames_ - 1;  // the change leads from frame t to frame t + 1
  if (stable_run_ >= config_.stability_window) stable_at_ = t - config_.stability_window + 2;
  // Groups of 16 see of independent changes a quarter of their deviation. `margin`: how many times
  // nearer it may come until one looks again.
  const double near = (sums.per_cell ? 4.0 : 1.0) * margin * config_.stability_threshold_mv;
  close_ = !stable_at_ && leaf_cells > 0 &&
           Spread(sums, leaf_cells) < near * near * static_cast<double>(cells_);
}

template <typename T>
void FeatureAccumulator::ScanStability(const Pair<T>& pair, size_t leaf_cells) {
  const std::optional<bool> certain = Stable(sums_, leaf_cells);
  const bool stable = certain ? *certain : Std(ChangesOf(pair)) < config_.stability_threshold_mv;
  CountStable(stable, sums_, leaf_cells, 1.25);
}

// Running covariance of (t, E): no energy needs to be kept.
void FeatureAccumulator::AddEnergy(size_t leaf_cells) {
  const double energy = SumVectors(leaf_energies_.data(), leaf_cells / kSumLeaf) + tail_energy_;
  const double n = static_cast<double>(frames_);
  const double t_from_mean = n - (n - 1.0) / 2.0;  // t = n against the mean of 0..n-1
  energy_mean_ += (energy - energy_mean_) / (n + 1.0);
  if (frames_ > 0) energy_covariance_ += t_from_mean * (energy - energy_mean_);
}

Expected<Features> FeatureAccumulator::Finish(std::span<const double> last_frame_v,
                                              const CancelCheck& cancel) {
  if (frames_ == 0) return InvalidArgument("field", "features need at least one frame");
  std::transform(last_frame_v.begin(), last_frame_v.end(), mv_.begin(),
                 [](double v) { return v * kMvPerV; });
  Features f;
  const FieldStatisticsMv statistics = StatisticsMv(mv_);
  f.v_min = statistics.min;
  f.v_max = statistics.max;
  f.v_mean = statistics.mean;
  f.v_std = statistics.std;
  AddMoments(mv_, f);
  if (auto added = AddStructure(last_frame_v, grid_size_, config_, cancel, f); !added.ok()) {
    return added.error();
  }
  if (frames_ < 2) return f;
  const double changes = static_cast<double>(frames_ - 1) * static_cast<double>(cells_);
  double change_sum = change_sum_;
  if (const size_t rest = frame_at_ - pending_; rest > 0) {
    std::vector<double> leaves(
        leaf_sums_.begin() + static_cast<std::ptrdiff_t>(pending_ / kSumLeaf),
        leaf_sums_.begin() + static_cast<std::ptrdiff_t>((pending_ + rest) / kSumLeaf));
    change_sum += keeps_changes_ ? SumVectors(changes_.data() + pending_, rest)
                                 : TreeOfLeaves(leaves.data(), leaves.size());
  }
  f.dv_mean = change_sum / changes;
  f.dv_max = change_max_;
  f.t_stable = stable_at_.value_or(frames_);
  const double t = static_cast<double>(frames_);
  f.e_trend = energy_covariance_ / (t * (t * t - 1.0) / 12.0);
  return f;
}

Expected<Features> ExtractFeatures(std::span<const double> frames_v, int64_t num_frames,
                                   int64_t grid_size, const FeatureConfig& config,
                                   const CancelCheck& cancel) {
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
    if (IsCancelled(cancel)) return Cancelled();
    auto added = accumulator->AddFrame(frames_v.subspan(t * cells, cells));
    if (!added.ok()) return added.error();
  }
  return accumulator->Finish(frames_v.last(cells), cancel);
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
  BinaryImage active;
  active.SetAbove(field_v, grid_size, (threshold_v * kMvPerV) / kMvPerV);
  BoxSizeRule rule;
  rule.num_scales = num_scales;
  auto fit = FeatureBoxDimension(active, rule);
  if (!fit.ok()) return fit.error();
  return fit->dimension;
}

Expected<FieldStatisticsMv> FieldStatisticsInMv(std::span<const double> field_v) {
  if (field_v.empty()) return InvalidArgument("field", "the field is empty");
  AlignedVector<double> mv(field_v.size());
  std::transform(field_v.begin(), field_v.end(), mv.begin(), [](double v) { return v * kMvPerV; });
  return StatisticsMv(mv);
}

}  // namespace mfn::engine
