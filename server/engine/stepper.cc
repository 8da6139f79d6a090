#include "server/engine/stepper.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <type_traits>
#include <utility>

namespace mfn::engine {
namespace {

// Grids up to this side stay in a core's own cache with both states.
constexpr size_t kCachedSide = 160;
// Rows longer than this are cut, with a halo on each side; a whole number of cache lines.
constexpr size_t kLongRow = 1024;
constexpr size_t kTileColumns = 512;
constexpr size_t kColumnHalo = kMaxStepsAtOnce;
// Rows that a level of a tile advances at a time (measured), and rows that it keeps: those, and the
// last two before them.
constexpr size_t kPace = 4;
constexpr size_t kKeep = kPace + 2;

bool IsFinite(const KernelParams& p) {
  return std::isfinite(p.alpha + p.d_activator + p.d_inhibitor + p.r_activator + p.r_inhibitor +
                       p.turing_threshold);
}

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

// Behind each array is a row of zeros, for the boundary that wants one. The arrays begin at
// different offsets within a page: a processor takes a load for dependent on an
// earlier store when their addresses agree in the last twelve bits.
template <typename T>
void Stepper<T>::Resize(size_t n) {
  constexpr size_t kLine = kCacheLine / sizeof(T);
  constexpr size_t kPage = 4096 / sizeof(T);
  constexpr size_t kStagger = 11 * kLine;
  const size_t stride = RoundUp(n * n + n + 2 * kLine, kPage) + kStagger;
  memory_.resize(6 * stride);
  noise_.resize(kBlockRows * n);
  T* at = memory_.data() + kLine;
  for (T** array : {&now_.field, &now_.activator, &now_.inhibitor, &next_.field, &next_.activator,
                    &next_.inhibitor}) {
    *array = at;
    std::fill_n(at + n * n, n, T{0});
    at += stride;
  }
  n_ = n;
}

template <typename T>
void Stepper<T>::AddSpike(const std::optional<Spike>& spike) {
  if (spike) now_.field[spike->row * n_ + spike->column] += static_cast<T>(spike->volt);
}

// A row of the grid or, beyond it, what the boundary says.
template <typename T>
const T* Stepper<T>::RowOf(const T* array, const KernelParams& params, ptrdiff_t row) const {
  const ptrdiff_t n = static_cast<ptrdiff_t>(n_);
  if (row >= 0 && row < n) return array + row * n;
  switch (params.boundary) {
    case Boundary::kPeriodic:
      return array + (row < 0 ? row + n : row - n) * n;
    case Boundary::kNeumann:
      return array + (row < 0 ? 0 : n - 1) * n;
    case Boundary::kDirichlet:
      break;
  }
  return array + n * n;
}

RowEnds EndsOf(Boundary boundary) {
  switch (boundary) {
    case Boundary::kPeriodic:
      return RowEnds::kWrap;
    case Boundary::kNeumann:
      return RowEnds::kOwn;
    case Boundary::kDirichlet:
      break;
  }
  return RowEnds::kZero;
}

template <typename T>
void Stepper<T>::FillBlock(const KernelParams& params, size_t first, size_t end,
                           RowBlock<T>* block) const {
  block->rows = end - first;
  block->width = n_;
  block->ends = EndsOf(params.boundary);
  for (size_t k = 0; k < block->rows + 2; ++k) {
    const ptrdiff_t row = static_cast<ptrdiff_t>(first + k) - 1;
    block->field[k] = RowOf(now_.field, params, row);
  }
  for (size_t k = 0; k < block->rows; ++k) block->next_field[k] = next_.field + (first + k) * n_;
  block->activator = now_.activator - now_.field;
  block->inhibitor = now_.inhibitor - now_.field;
  block->next_activator = next_.activator - next_.field;
  block->next_inhibitor = next_.inhibitor - next_.field;
}

template <typename T>
StepCounts Stepper<T>::Step(const KernelParams& params, const std::optional<Spike>& spike,
                            Generator& generator, FeatureAccumulator* features) {
  const size_t spiked = spike ? spike->row * n_ + spike->column : 0;
  const FeatureAccumulator::Cell unspiked = {spiked, static_cast<double>(now_.field[spiked])};
  AddSpike(spike);
  const bool finite = IsFinite(params);
  StepCounts counts;
  RowBlock<T> block;
  for (size_t first = 0; first < n_; first += kBlockRows) {
    const size_t end = std::min(first + kBlockRows, n_);
    FillBlock(params, first, end, &block);
    if (!StepRows(params, block) || !finite) {
      const size_t at = first * n_;
      SettleRow(params, (end - first) * n_, next_.field + at, next_.activator + at,
                next_.inhibitor + at, &counts);
    }
    if (params.quantum_jitter) {
      const std::span<double> noise(noise_.data(), (end - first) * n_);
      generator.FillNormal(noise, 0.0, params.jitter_sd);
      AddNoiseAndClamp(noise.size(), noise.data(), next_.field + first * n_, &counts);
    }
    if constexpr (std::is_same_v<T, double>) {
      if (features != nullptr) {
        features->Advance(now_.field, next_.field, end * n_, spike ? &unspiked : nullptr);
      }
    }
  }
  SwapStates(params);
  return counts;
}

template <typename T>
bool Stepper<T>::Wide() const {
  return n_ > kLongRow;
}

template <typename T>
size_t Stepper<T>::Tiles(size_t threads) const {
  return Wide() ? (n_ + kTileColumns - 1) / kTileColumns * threads : threads;
}

// Rows are shared by the threads; a wide grid is cut into columns as well.
template <typename T>
typename Stepper<T>::Tile Stepper<T>::TileAt(size_t k, size_t tiles) const {
  if (!Wide()) return {n_ * k / tiles, n_ * (k + 1) / tiles, 0, n_};
  const size_t across = (n_ + kTileColumns - 1) / kTileColumns;
  const size_t down = tiles / across;
  const size_t row = k / across;
  const size_t column = k % across * kTileColumns;
  return {n_ * row / down, n_ * (row + 1) / down, column, std::min(column + kTileColumns, n_)};
}

// A row is written a step or more behind those that still need it, and whole rows have no
// neighbours but above and below.
template <typename T>
bool Stepper<T>::InPlace(const KernelParams& params, size_t steps) const {
  return !Wide() && steps >= 2 && std::holds_alternative<Mfn>(params.kinetics);
}

// Puts the rows around the borders of tiles aside, in the other state.
template <typename T>
void Stepper<T>::KeepBorders(const KernelParams& params, size_t steps, size_t tiles) {
  for (size_t k = 0; k < tiles; ++k) {
    const size_t border = TileAt(k, tiles).row;
    for (size_t r = 0; r < 2 * steps; ++r) {
      const size_t at = (border + n_ - steps + r) % n_ * n_;
      std::copy_n(now_.field + at, n_, next_.field + at);
      if (!params.turing_enabled) continue;
      std::copy_n(now_.activator + at, n_, next_.activator + at);
      std::copy_n(now_.inhibitor + at, n_, next_.inhibitor + at);
    }
  }
}

template <typename T>
void Stepper<T>::SwapStates(const KernelParams& params) {
  std::swap(now_.field, next_.field);
  if (!params.turing_enabled) return;
  std::swap(now_.activator, next_.activator);
  std::swap(now_.inhibitor, next_.inhibitor);
}

template <typename T>
size_t Stepper<T>::StepsAtOnce(const KernelParams& params, size_t threads) const {
  if (params.boundary != Boundary::kPeriodic || params.quantum_jitter || !IsFinite(params)) {
    return 1;
  }
  const bool cached = n_ * sizeof(T) <= kCachedSide * sizeof(double);
  if (cached || n_ / threads < 4 * kMaxStepsAtOnce) return 1;
  // Measured: more steps cost more halo, fewer read the grid more often.
  return Wide() ? kMaxStepsAtOnce : 8;
}

// One tile, several steps ahead. Level s holds rows of the state after s steps; level 0 is the grid
// as it is, the last level the grid as it will be, and the levels between keep the few rows that
// the next one still needs. Levels advance in turn, some rows at a time, each one row behind the
// one before it.
template <typename T>
class Stepper<T>::TileRun {
 public:
  TileRun(const Stepper& grid, const KernelParams& params, size_t steps, const Spikes& spikes,
          const Tile& tile, AlignedVector<T>* scratch)
      : grid_(grid),
        params_(params),
        steps_(steps),
        spikes_(spikes),
        tile_(tile),
        halo_(grid.Wide() ? kColumnHalo : 0),
        in_place_(grid.InPlace(params, steps)),
        width_(tile.column_end - tile.column + 2 * halo_),
        pitch_(RoundUp(width_ + 2 * kLine, kLine)),
        scratch_(scratch->data()) {}

  static size_t ScratchSize(size_t steps, size_t width) {
    const size_t pitch = RoundUp(width + 2 * kLine, kLine);
    return 3 * steps * pitch * kKeep;
  }

  StepCounts Run() {
    const size_t first_level = halo_ > 0 ? 0 : 1;
    for (size_t s = 0; s <= steps_; ++s) done_[s] = FirstRow(s);
    if (first_level == 1) done_[0] = EndRow(0);
    while (done_[steps_] < EndRow(steps_)) {
      for (size_t s = first_level; s <= steps_; ++s) {
        ptrdiff_t target = std::min(done_[s] + static_cast<ptrdiff_t>(kPace), EndRow(s));
        if (s > 0) target = std::min(target, done_[s - 1] - 1);
        if (target > done_[s]) AdvanceLevel(s, target);
      }
    }
    return counts_;
  }

 private:
  static constexpr size_t kLine = kCacheLine / sizeof(T);

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
    return static_cast<size_t>(row + static_cast<ptrdiff_t>(steps_)) % kKeep * pitch_;
  }
  size_t NextKept(size_t at) const { return at + pitch_ == kKeep * pitch_ ? 0 : at + pitch_; }
  T* Level(size_t s, size_t species) const {
    return scratch_ + (s * 3 + species) * kKeep * pitch_ + kLine;
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

  void AddSpike(size_t s, ptrdiff_t row) const {
    if (!spikes_[s] || spikes_[s]->row != Wrapped(row)) return;
    T* cells = Level(s, 0) + Kept(row);
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
    block.ends = halo_ == 0 ? RowEnds::kWrap : last ? RowEnds::kMemory : RowEnds::kOwn;
    const bool from_grid = s == 1 && halo_ == 0;
    if (from_grid) {
      FillFromGrid(&block);
    } else {
      FillFromLevel(s - 1, skip, &block);
    }
    FillNew(s, last, &block);
    if (!StepRows(params_, block)) Settle(s, block, last ? 0 : halo_);
  }

  Fields LevelFields(size_t s) const { return {Level(s, 0), Level(s, 1), Level(s, 2)}; }

  // Rows of the tile itself are where they were until its last level comes by, a step or more
  // behind the first; those around it, which its neighbours may have replaced, have been put aside.
  void FillFromGrid(RowBlock<T>* block) const {
    const Fields& now = grid_.now_;
    for (size_t k = 0; k < block->rows + 2; ++k) {
      const ptrdiff_t row = done_[1] - 1 + static_cast<ptrdiff_t>(k);
      const bool own = !in_place_ || (row >= static_cast<ptrdiff_t>(tile_.row) &&
                                      row < static_cast<ptrdiff_t>(tile_.row_end));
      block->field[k] = (own ? now.field : grid_.next_.field) + Wrapped(row) * grid_.n_;
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
    const Fields to = !last ? LevelFields(s) : in_place_ ? grid_.now_ : grid_.next_;
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
      const ptrdiff_t row = done_[s] + static_cast<ptrdiff_t>(k);
      const bool own =
          row >= static_cast<ptrdiff_t>(tile_.row) && row < static_cast<ptrdiff_t>(tile_.row_end);
      StepCounts ignored;
      const size_t inner = block.width - 2 * halo;
      SettlePart(block, k, 0, halo, &ignored);
      SettlePart(block, k, halo, inner, own ? &counts_ : &ignored);
      SettlePart(block, k, halo + inner, halo, &ignored);
    }
  }

  void SettlePart(const RowBlock<T>& b, size_t k, size_t column, size_t width, StepCounts* counts) {
    T* at = b.next_field[k] + column;
    SettleRow(params_, width, at, at + b.next_activator, at + b.next_inhibitor, counts);
  }

  const Stepper& grid_;
  const KernelParams& params_;
  const size_t steps_;
  const Spikes& spikes_;
  const Tile tile_;
  const size_t halo_;
  const bool in_place_;
  const size_t width_;  // of a row with its halo
  const size_t pitch_;  // of rows in scratch
  T* const scratch_;
  ptrdiff_t done_[kMaxStepsAtOnce + 1] = {};  // rows of each level before this one are there
  StepCounts counts_;
};

template <typename T>
StepCounts Stepper<T>::StepMany(const KernelParams& params, size_t steps, const Spikes& spikes,
                                Team& team) {
  if (spikes[0]) unspiked_ = now_.field[spikes[0]->row * n_ + spikes[0]->column];
  AddSpike(spikes[0]);
  const size_t width = Wide() ? kTileColumns + 2 * kColumnHalo : n_;
  const size_t size = TileRun::ScratchSize(kMaxStepsAtOnce, width);
  scratch_.resize(std::max(scratch_.size(), team.members()));
  const size_t tiles = Tiles(team.members());
  if (InPlace(params, steps)) KeepBorders(params, steps, tiles);
  std::atomic<size_t> next_tile{0};
  std::mutex mutex;
  StepCounts counts;
  team.Run([&](size_t member) {
    AlignedVector<T>& scratch = scratch_[member];
    if (scratch.size() < size) scratch.resize(size);
    for (size_t k; (k = next_tile.fetch_add(1)) < tiles;) {
      const StepCounts more =
          TileRun(*this, params, steps, spikes, TileAt(k, tiles), &scratch).Run();
      const std::lock_guard lock(mutex);
      counts += more;
    }
  });
  if (!InPlace(params, steps)) SwapStates(params);
  return counts;
}

template <typename T>
void Stepper<T>::UndoMany(const Spikes& spikes) {
  std::swap(now_, next_);
  if (spikes[0]) now_.field[spikes[0]->row * n_ + spikes[0]->column] = unspiked_;
}

template class Stepper<double>;
template class Stepper<float>;

}  // namespace mfn::engine
