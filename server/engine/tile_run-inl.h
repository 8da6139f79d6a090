// One tile of a grid, several steps ahead (stepper.h). Included by stepper.cc alone.

#ifndef MFN_SERVER_ENGINE_TILE_RUN_INL_H_
#define MFN_SERVER_ENGINE_TILE_RUN_INL_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>

#include "server/engine/aligned.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/reach.h"
#include "server/engine/stepper.h"

namespace mfn::engine {

// Columns on each side of a tile that is not as wide as the grid; a whole number of cache lines.
inline constexpr size_t kColumnHalo = kMaxStepsAtOnce;

inline size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// Level s holds rows of the state after s steps; level 0 is the grid
// as it is, the last level the grid as it will be, and the levels between keep the few rows that
// the next one still needs. Levels advance in turn, some rows at a time, each one row behind the
// one before it.
template <typename T>
class Stepper<T>::TileRun {
 public:
  TileRun(const Stepper& grid, const KernelParams& params, size_t steps, const Spikes& spikes,
          const Tile& tile, std::span<FrameDraft> drafts, AlignedVector<T>* scratch)
      : grid_(grid),
        params_(params),
        steps_(steps),
        spikes_(spikes),
        watch_(
            !WithinLimits(After(grid.reach_, params, {spikes.data(), steps}, kEpsilon<T>), params)),
        tile_(tile),
        halo_(grid.Wide() ? kColumnHalo : 0),
        drafts_(drafts),
        pace_(grid.Pace()),
        keep_(pace_ + 2),
        width_(tile.column_end - tile.column + 2 * halo_),
        pitch_(Pitch(width_)),
        scratch_(scratch->data()) {
    for (size_t s = 0; s < drafts_.size(); ++s) sums_[s] = drafts_[s].NoSums();
    unspiked_[0] = grid.unspiked_;
  }

  static size_t ScratchSize(size_t steps, size_t pace, size_t width) {
    return 3 * steps * Pitch(width) * (pace + 2);
  }

  // What the last step wrote lies within this.
  const Reach& seen() const { return seen_; }
  // By one thread at a time.
  void MergeDrafts() const {
    for (size_t s = 0; s < drafts_.size(); ++s) drafts_[s].Merge(sums_[s]);
  }

  StepCounts Run() {
    const size_t first_level = halo_ > 0 ? 0 : 1;
    for (size_t s = 0; s <= steps_; ++s) done_[s] = FirstRow(s);
    if (first_level == 1) done_[0] = EndRow(0);
    while (done_[steps_] < EndRow(steps_)) {
      for (size_t s = first_level; s <= steps_; ++s) {
        ptrdiff_t target = std::min(done_[s] + static_cast<ptrdiff_t>(pace_), EndRow(s));
        if (s > 0) target = std::min(target, done_[s - 1] - 1);
        if (target > done_[s]) AdvanceLevel(s, target);
      }
    }
    return counts_;
  }

 private:
  static constexpr size_t kLine = kCacheLine / sizeof(T);

  // Room for what a load reaches beyond a row; and rows that begin at different places within a
  // page (kPartCells).
  static size_t Pitch(size_t width) { return RoundUp(width, kLine) + 10 * kLine; }
  // Rows of level s, counted from the grid's first; they may lie beyond it on both sides.
  ptrdiff_t FirstRow(size_t s) const {
    return static_cast<ptrdiff_t>(tile_.row) - static_cast<ptrdiff_t>(steps_ - s);
  }
  ptrdiff_t EndRow(size_t s) const {
    return static_cast<ptrdiff_t>(tile_.row_end) + static_cast<ptrdiff_t>(steps_ - s);
  }
  size_t Wrapped(ptrdiff_t row) const {
    const ptrdiff_t n = static_cast<ptrdiff_t>(grid_.n_);
    return static_cast<size_t>(row < 0 ? row + n : row >= n ? row - n : row);
  }

  // Where level s keeps a row, counted from the level's first cell.
  size_t Kept(ptrdiff_t row) const {
    return static_cast<size_t>(row + static_cast<ptrdiff_t>(steps_)) % keep_ * pitch_;
  }
  size_t NextKept(size_t at) const { return at + pitch_ == keep_ * pitch_ ? 0 : at + pitch_; }
  T* Level(size_t s, size_t species) const {
    return scratch_ + (s * 3 + species) * keep_ * pitch_ + kLine;
  }

  void AdvanceLevel(size_t s, ptrdiff_t target) {
    if (s == 0) {
      for (ptrdiff_t row = done_[0]; row < target; ++row) CopyRow(row);
    } else {
      StepTo(s, target);
    }
    for (ptrdiff_t row = done_[s]; row < target && s < steps_ && s > 0; ++row) AddSpike(s, row);
    done_[s] = target;
  }

  // A row of the grid with its halo, for level 0 of a wide grid.
  void CopyRow(ptrdiff_t row) const {
    const size_t n = grid_.n_;
    const T* arrays[] = {grid_.now_.field, grid_.now_.activator, grid_.now_.inhibitor};
    for (size_t species = 0; species < (params_.turing_enabled ? 3 : 1); ++species) {
      const T* from = arrays[species] + Wrapped(row) * n;
      T* to = Level(0, species) + Kept(row);
      size_t column = (tile_.column + n - halo_) % n;
      for (size_t k = 0; k < width_;) {
        const size_t take = std::min(width_ - k, n - column);
        std::copy_n(from + column, take, to + k);
        k += take;
        column = 0;
      }
    }
  }

  void AddSpike(size_t s, ptrdiff_t row) {
    if (!spikes_[s] || spikes_[s]->row != Wrapped(row)) return;
    T* cells = Level(s, 0) + Kept(row);
    if (halo_ == 0) {
      T& cell = cells[grid_.Place(0, spikes_[s]->column)];
      unspiked_[s] = cell;
      cell += static_cast<T>(spikes_[s]->volt);
      return;
    }
    const size_t n = grid_.n_;
    // Where the tile's first cell with its halo stands; a narrow grid can come round twice.
    const size_t start = (tile_.column + n - halo_) % n;
    for (size_t k = (spikes_[s]->column + n - start) % n; k < width_; k += n) {
      cells[k] += static_cast<T>(spikes_[s]->volt);
    }
  }

  void StepTo(size_t s, ptrdiff_t target) {
    const bool last = s == steps_;
    // The halo is no part of the new state.
    const size_t skip = last ? halo_ : 0;
    RowBlock<T> block;
    block.rows = static_cast<size_t>(target - done_[s]);
    block.width = width_ - 2 * skip;
    block.order = grid_.order_;
    block.ends = halo_ == 0 ? RowEnds::kWrap : last ? RowEnds::kMemory : RowEnds::kOwn;
    const bool from_grid = s == 1 && halo_ == 0;
    if (from_grid) {
      FillFromGrid(&block);
    } else {
      FillFromLevel(s - 1, skip, &block);
    }
    FillNew(s, last, &block);
    Reach passed = kNothingSeen;
    Reach* seen = last ? &seen_ : watch_ ? &passed : nullptr;
    if (!StepRows(params_, block, seen)) Settle(s, block, last ? 0 : halo_);
    if (!drafts_.empty()) AddToDraft(s, block);
  }

  bool Own(ptrdiff_t row) const {
    return row >= static_cast<ptrdiff_t>(tile_.row) && row < static_cast<ptrdiff_t>(tile_.row_end);
  }

  // The tile's own rows of the frame after s steps, whose spike was no part of the frame before.
  void AddToDraft(size_t s, const RowBlock<T>& block) {
    const std::optional<Spike>& spike = spikes_[s - 1];
    for (size_t k = 0; k < block.rows; ++k) {
      const ptrdiff_t row = done_[s] + static_cast<ptrdiff_t>(k);
      if (!Own(row)) continue;
      const T* before = block.field[k + 1];
      alignas(kCacheLine) T changed[kMaxDraftSide];
      if (spike && spike->row == static_cast<size_t>(row)) {
        std::copy_n(before, width_, changed);
        changed[spike->column] = unspiked_[s - 1];
        before = changed;
      }
      drafts_[s - 1].AddRow(static_cast<size_t>(row), before, block.next_field[k], &sums_[s - 1]);
    }
  }

  Fields LevelFields(size_t s) const { return {Level(s, 0), Level(s, 1), Level(s, 2)}; }

  void FillFromGrid(RowBlock<T>* block) const {
    const Fields& now = grid_.now_;
    for (size_t k = 0; k < block->rows + 2; ++k) {
      const ptrdiff_t row = done_[1] - 1 + static_cast<ptrdiff_t>(k);
      block->field[k] = now.field + Wrapped(row) * grid_.n_;
    }
    block->activator = now.activator - now.field;
    block->inhibitor = now.inhibitor - now.field;
  }

  void FillFromLevel(size_t s, size_t skip, RowBlock<T>* block) const {
    const Fields from = LevelFields(s);
    size_t kept = Kept(done_[s + 1] - 1);
    for (size_t k = 0; k < block->rows + 2; ++k, kept = NextKept(kept)) {
      block->field[k] = from.field + kept + skip;
    }
    block->activator = from.activator - from.field;
    block->inhibitor = from.inhibitor - from.field;
  }

  void FillNew(size_t s, bool last, RowBlock<T>* block) const {
    const Fields to = last ? grid_.next_ : LevelFields(s);
    const size_t n = grid_.n_;
    size_t at = last ? static_cast<size_t>(done_[s]) * n + tile_.column : Kept(done_[s]);
    for (size_t k = 0; k < block->rows; ++k, at = last ? at + n : NextKept(at)) {
      block->next_field[k] = to.field + at;
    }
    block->next_activator = to.activator - to.field;
    block->next_inhibitor = to.inhibitor - to.field;
  }

  // Counts the tile's own cells only: its halo is counted by its neighbours.
  void Settle(size_t s, const RowBlock<T>& block, size_t halo) {
    for (size_t k = 0; k < block.rows; ++k) {
      const bool own = Own(done_[s] + static_cast<ptrdiff_t>(k));
      StepCounts ignored;
      const size_t inner = block.width - 2 * halo;
      SettlePart(block, k, 0, halo, &ignored);
      SettlePart(block, k, halo, inner, own ? &counts_ : &ignored);
      SettlePart(block, k, halo + inner, halo, &ignored);
    }
  }

  void SettlePart(const RowBlock<T>& b, size_t k, size_t column, size_t width, StepCounts* counts) {
    if (width == 0) return;
    T* at = b.next_field[k] + column;
    SettleRow(params_, width, at, at + b.next_activator, at + b.next_inhibitor, counts);
  }

  const Stepper& grid_;
  const KernelParams& params_;
  const size_t steps_;
  const Spikes& spikes_;
  const bool watch_;  // every step, not just the last
  const Tile tile_;
  const size_t halo_;
  const std::span<FrameDraft> drafts_;
  const size_t pace_;   // rows that a level advances at a time
  const size_t keep_;   // and that it keeps: those, and the last two before them
  const size_t width_;  // of a row with its halo
  const size_t pitch_;  // of rows in scratch
  T* const scratch_;
  ptrdiff_t done_[kMaxStepsAtOnce + 1] = {};  // rows of each level before this one are there
  StepCounts counts_;
  Reach seen_ = kNothingSeen;
  FrameSums sums_[kMaxStepsAtOnce];  // of the drafts
  T unspiked_[kMaxStepsAtOnce];      // the cell of each step's spike before it
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_TILE_RUN_INL_H_
