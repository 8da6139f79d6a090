// Interrupting and resuming the features of a run.

#include <algorithm>
#include <cmath>
#include <string>

#include "server/engine/features.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

// Whether a grid's changes are pending as sums of kSumLeaf.
bool PendsSums(int64_t grid_size) {
  return static_cast<size_t>(grid_size * grid_size) % (kSumChunk / 2) == 0;
}

bool AllFinite(const FeatureState& s) {
  return std::isfinite(s.change_sum) && std::isfinite(s.change_max) &&
         std::isfinite(s.energy_mean) && std::isfinite(s.energy_covariance) &&
         std::all_of(s.pending.begin(), s.pending.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

Expected<void> FeatureState::Validate(int64_t grid_size) const {
  if (frames < 0 || stable_run < 0 || stable_run > frames ||
      (stable_at && (*stable_at < 0 || *stable_at > frames))) {
    return InvalidArgument("features", "features count " + std::to_string(stable_run) +
                                           " stable steps of " + std::to_string(frames) +
                                           ", which cannot be");
  }
  const size_t expected = FeatureAccumulator::PendingOf(grid_size, frames);
  if (pending.size() != expected) {
    return InvalidArgument("features", "features have " + std::to_string(pending.size()) +
                                           " pending numbers, must have " +
                                           std::to_string(expected) + " after " +
                                           std::to_string(frames) + " frames of grid_size " +
                                           std::to_string(grid_size));
  }
  if (AllFinite(*this)) return {};
  return InvalidArgument("features", "features hold a number that is not finite");
}

size_t FeatureAccumulator::PendingOf(int64_t grid_size, int64_t frames) {
  if (frames < 2) return 0;
  const uint64_t cells = static_cast<uint64_t>(grid_size * grid_size);
  // The count of all changes may be beyond 64 bits, what a chunk leaves over is not.
  const uint64_t rest =
      cells % kSumChunk * (static_cast<uint64_t>(frames - 1) % kSumChunk) % kSumChunk;
  return static_cast<size_t>(PendsSums(grid_size) ? rest / kSumLeaf : rest);
}

FeatureState FeatureAccumulator::State() const {
  FeatureState state;
  state.frames = frames_;
  state.stable_run = stable_run_;
  state.stable_at = stable_at_;
  state.change_sum = change_sum_;
  state.change_max = change_max_;
  state.energy_mean = energy_mean_;
  state.energy_covariance = energy_covariance_;
  const double* from =
      keeps_changes_ ? changes_.data() + pending_ : leaf_sums_.data() + pending_ / kSumLeaf;
  const size_t rest = frame_at_ - pending_;
  state.pending.assign(from, from + (keeps_changes_ ? rest : rest / kSumLeaf));
  return state;
}

Expected<void> FeatureAccumulator::Restore(int64_t grid_size, const FeatureConfig& config,
                                           const FeatureState& state,
                                           std::span<const double> last_frame_v) {
  if (auto reset = Reset(grid_size, config); !reset.ok()) return reset;
  if (auto valid = state.Validate(grid_size); !valid.ok()) return valid;
  if (last_frame_v.size() != cells_) {
    return InvalidArgument("field", "the last frame has " + std::to_string(last_frame_v.size()) +
                                        " values, must have " + std::to_string(cells_));
  }
  last_v_.assign(last_frame_v.begin(), last_frame_v.end());
  frames_ = state.frames;
  stable_run_ = state.stable_run;
  stable_at_ = state.stable_at;
  change_sum_ = state.change_sum;
  change_max_ = state.change_max;
  energy_mean_ = state.energy_mean;
  energy_covariance_ = state.energy_covariance;
  std::copy(state.pending.begin(), state.pending.end(),
            keeps_changes_ ? changes_.data() : leaf_sums_.data());
  frame_at_ = state.pending.size() * (keeps_changes_ ? 1 : kSumLeaf);
  return {};
}

}  // namespace mfn::engine
