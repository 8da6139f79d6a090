// Steps of one large grid by several threads while features take in every frame.
//
// Tiles several steps ahead (stepper.cc) are of no use here: every frame must be there as a whole,
// in order. So the rows of each step are shared out in blocks, and whoever has just finished one
// passes on to the features what is complete from the top. Between steps all wait for each other.

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "server/engine/barrier.h"
#include "server/engine/stepper.h"

namespace mfn::engine {
namespace {

constexpr size_t kBlockRows = 8;  // a few microseconds' work
constexpr size_t kMaxBlocks = (kMaxGridSize + kBlockRows - 1) / kBlockRows;

}  // namespace

// What the members share.
template <typename T>
class Stepper<T>::TogetherRun {
 public:
  TogetherRun(Stepper& grid, const KernelParams& params, size_t steps, const Spikes& spikes,
              bool stop_if_bad, size_t members, FeatureAccumulator* features)
      : grid_(grid),
        params_(params),
        steps_(steps),
        spikes_(spikes),
        stop_if_bad_(stop_if_bad),
        features_(features),
        blocks_((grid.n_ + kBlockRows - 1) / kBlockRows),
        barrier_(members) {
    BeginStep();
  }

  void Work() {
    while (!over_) {
      const size_t step = taken_;
      StepCounts counts;
      Reach seen = kNothingSeen;
      for (size_t b; (b = next_.fetch_add(1, std::memory_order_relaxed)) < blocks_;) {
        StepBlock(b, &counts, watch_ ? &seen : nullptr);
        done_[b].store(step + 1, std::memory_order_release);
        std::unique_lock lock(features_mutex_, std::try_to_lock);
        if (lock) Advance(step);
      }
      {
        const std::lock_guard lock(counts_mutex_);
        counts_ += counts;
        seen_ = Union(seen_, seen);
      }
      barrier_.Arrive([&] { EndStep(step); });
    }
  }

  size_t taken() const { return taken_; }
  const StepCounts& counts() const { return counts_; }

 private:
  size_t EndRow(size_t blocks) const { return std::min(blocks * kBlockRows, grid_.n_); }

  void BeginStep() {
    const std::optional<Spike>& spike = spikes_[taken_];
    const size_t cell = spike ? grid_.Place(spike->row, spike->column) : 0;
    unspiked_ = {cell, static_cast<double>(grid_.now_.field[cell])};
    grid_.AddSpike(spike);
    expected_ = After(grid_.reach_, params_, {&spike, 1}, kEpsilon<T>);
    watch_ = !WithinLimits(expected_, params_);
    seen_ = kNothingSeen;
    advanced_ = 0;
    next_.store(0, std::memory_order_relaxed);
  }

  void EndStep(size_t step) {
    Advance(step);
    grid_.reach_ = watch_ ? Settled(seen_, params_) : expected_;
    grid_.SwapStates(params_);
    taken_ = step + 1;
    over_ = taken_ == steps_ || (stop_if_bad_ && !counts_.Finite());
    if (!over_) BeginStep();
  }

  void StepBlock(size_t b, StepCounts* counts, Reach* seen) const {
    const size_t first = b * kBlockRows;
    const size_t end = EndRow(b + 1);
    RowBlock<T> block;
    grid_.FillBlock(params_, first, end, &block);
    if (StepRows(params_, block, seen)) return;
    const size_t at = first * grid_.n_;
    SettleRow(params_, (end - first) * grid_.n_, grid_.next_.field + at, grid_.next_.activator + at,
              grid_.next_.inhibitor + at, counts);
  }

  // By one member at a time.
  void Advance(size_t step) {
    while (advanced_ < blocks_) {
      size_t ready = advanced_;
      while (ready < blocks_ && done_[ready].load(std::memory_order_acquire) == step + 1) ++ready;
      if (ready == advanced_) return;
      advanced_ = ready;
      features_->Advance(grid_.now_.field, grid_.next_.field, EndRow(ready) * grid_.n_,
                         spikes_[step] ? &unspiked_ : nullptr);
    }
  }

  Stepper& grid_;
  const KernelParams& params_;
  const size_t steps_;
  const Spikes& spikes_;
  const bool stop_if_bad_;
  FeatureAccumulator* const features_;
  const size_t blocks_;
  Barrier barrier_;
  std::atomic<size_t> next_{0};                         // block that nobody has taken
  std::array<std::atomic<size_t>, kMaxBlocks> done_{};  // steps of each block
  std::mutex features_mutex_;
  size_t advanced_ = 0;  // blocks that the features have; guarded by features_mutex_ within a step
  std::mutex counts_mutex_;
  StepCounts counts_;  // guarded by counts_mutex_ within a step
  Reach seen_;         // as counts_, of the new state
  // Written between steps.
  FeatureAccumulator::Cell unspiked_{};
  Reach expected_;
  bool watch_ = true;  // whether the new state must be looked at
  size_t taken_ = 0;
  bool over_ = false;
};

template <typename T>
size_t Stepper<T>::StepTogether(const KernelParams& params, size_t steps, const Spikes& spikes,
                                bool stop_if_bad, Team& team, FeatureAccumulator* features,
                                StepCounts* counts) {
  TogetherRun run(*this, params, steps, spikes, stop_if_bad, team.members(), features);
  team.Run([&run](size_t) { run.Work(); });
  *counts += run.counts();
  return run.taken();
}

template size_t Stepper<double>::StepTogether(const KernelParams&, size_t, const Spikes&, bool,
                                              Team&, FeatureAccumulator*, StepCounts*);
template size_t Stepper<float>::StepTogether(const KernelParams&, size_t, const Spikes&, bool,
                                             Team&, FeatureAccumulator*, StepCounts*);

}  // namespace mfn::engine
