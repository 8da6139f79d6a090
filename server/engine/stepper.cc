#include "server/engine/stepper.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include "server/engine/lanes_simd.h"
#include "server/engine/tile_run-inl.h"

namespace mfn::engine {
namespace {

// Longer rows are cut into so many columns; a whole number of cache lines.
constexpr size_t kTileColumns = 512;

}  // namespace

// Behind each array is a row of zeros, for the boundary that wants one. The arrays begin at
// different offsets within a page: a processor takes a load for dependent on an earlier store when
// their addresses agree in the last twelve bits.
template <typename T>
void Stepper<T>::Resize(size_t n, size_t strips) {
  constexpr size_t kLine = kCacheLine / sizeof(T);
  constexpr size_t kPage = 4096 / sizeof(T);
  constexpr size_t kStagger = 11 * kLine;
  n_ = n;
  room_ = CanBeCut() ? std::clamp<size_t>(n / Strips<T>::kMinRows, 1,
                                          std::min(strips, Strips<T>::kMaxStrips))
                     : 0;
  const size_t cells = std::max(n * n + n, room_ > 0 ? Strips<T>::Room(n, room_) : 0);
  const size_t stride = RoundUp(cells + 2 * kLine, kPage) + kStagger;
  memory_.resize(6 * stride);
  noise_.resize(kHotRows * n);
  T* at = memory_.data() + kLine;
  for (T** array : {&now_.field, &now_.activator, &now_.inhibitor, &next_.field, &next_.activator,
                    &next_.inhibitor}) {
    *array = at;
    at += stride;
  }
  FillZeroRows();
  reach_ = {};
  order_ = CellOrder::kColumns;
  lanes_ = 1;
  strips_.Clear();
}

template <typename T>
void Stepper<T>::FillZeroRows() {
  for (T* const array : {now_.field, now_.activator, now_.inhibitor, next_.field, next_.activator,
                         next_.inhibitor}) {
    std::fill_n(array + n_ * n_, n_, T{0});
  }
}

template <typename T>
size_t Stepper<T>::MemoryBytes() const {
  size_t bytes = memory_.capacity() * sizeof(T) + noise_.capacity() * sizeof(double);
  for (const AlignedVector<T>& scratch : scratch_) bytes += scratch.capacity() * sizeof(T);
  return bytes;
}

template <typename T>
void Stepper<T>::AddSpike(const std::optional<Spike>& spike) {
  if (spike) now_.field[Place(spike->row, spike->column)] += static_cast<T>(spike->volt);
}

// A row of the grid or, beyond it, what the boundary says.
template <typename T>
const T* Stepper<T>::RowOf(const T* array, const KernelParams& params, ptrdiff_t row) const {
  const ptrdiff_t rows = static_cast<ptrdiff_t>(Rows());
  const ptrdiff_t cells = static_cast<ptrdiff_t>(RowCells());
  if (row >= 0 && row < rows) return array + row * cells;
  switch (params.boundary) {
    case Boundary::kPeriodic:
      return array + (row < 0 ? row + rows : row - rows) * cells;
    case Boundary::kNeumann:
      return array + (row < 0 ? 0 : rows - 1) * cells;
    case Boundary::kDirichlet:
      break;
  }
  return array + n_ * n_;
}

template <typename T>
void Stepper<T>::FillBlock(const KernelParams& params, size_t first, size_t end,
                           RowBlock<T>* block) const {
  block->rows = end - first;
  block->width = RowCells();
  block->ends = EndsOf(params.boundary);
  block->order = order_;
  block->first = first == 0;
  block->last = end == Rows();
  for (size_t k = 0; k < block->rows + 2; ++k) {
    const ptrdiff_t row = static_cast<ptrdiff_t>(first + k) - 1;
    block->field[k] = RowOf(now_.field, params, row);
  }
  for (size_t k = 0; k < block->rows; ++k)
    block->next_field[k] = next_.field + (first + k) * RowCells();
  block->activator = now_.activator - now_.field;
  block->inhibitor = now_.inhibitor - now_.field;
  block->next_activator = next_.activator - next_.field;
  block->next_inhibitor = next_.inhibitor - next_.field;
}

template <typename T>
StepCounts Stepper<T>::Step(const KernelParams& params, const std::optional<Spike>& spike,
                            Generator& generator, FeatureAccumulator* features) {
  if (!strips_.empty()) return strips_.Step(params, {&spike, 1}, nullptr, &reach_);
  if (order_ == CellOrder::kEighths) return StepTapped(params, spike, features);
  const size_t spiked = spike ? Place(spike->row, spike->column) : 0;
  const FeatureAccumulator::Cell unspiked = {spiked, static_cast<double>(now_.field[spiked])};
  AddSpike(spike);
  const bool finite = params.Finite();
  const Reach expected = After(reach_, params, {&spike, 1}, kEpsilon<T>);
  const bool watch = !finite || !WithinLimits(expected, params);
  Reach seen = kNothingSeen;
  StepCounts counts;
  RowBlock<T> block;
  const size_t cells = RowCells();
  const bool hot = features != nullptr || params.quantum_jitter;
  const size_t at_once = hot ? kHotRows : kMaxBlockRows;
  for (size_t first = 0; first < Rows(); first += at_once) {
    const size_t end = std::min(first + at_once, Rows());
    FillBlock(params, first, end, &block);
    if (!StepRows(params, block, watch ? &seen : nullptr) || !finite) {
      const size_t at = first * cells;
      SettleRow(params, (end - first) * cells, next_.field + at, next_.activator + at,
                next_.inhibitor + at, &counts);
    }
    if (params.quantum_jitter) {
      const std::span<double> noise(noise_.data(), (end - first) * n_);
      generator.FillNormal(noise, 0.0, params.jitter_sd);
      AddNoiseAndClamp(noise.size(), noise.data(), next_.field + first * n_, &counts);
    }
    if (features != nullptr) {
      features->Advance(now_.field, next_.field, end * cells, spike ? &unspiked : nullptr, lanes_);
    }
  }
  reach_ = !finite ? Reach() : watch ? Settled(seen, params) : expected;
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

template <typename T>
void Stepper<T>::SwapStates(const KernelParams& params) {
  std::swap(now_.field, next_.field);
  if (!params.turing_enabled) return;
  std::swap(now_.activator, next_.activator);
  std::swap(now_.inhibitor, next_.inhibitor);
}

template <typename T>
size_t Stepper<T>::StepsAtOnce(const KernelParams& params, size_t threads) const {
  if (params.boundary != Boundary::kPeriodic || params.quantum_jitter || !params.Finite()) {
    return 1;
  }
  if (!strips_.empty()) {
    const bool cached = strips_.count() == 1 && n_ <= kCachedInPlace;
    return cached ? 1 : Strips<T>::kMaxSteps;
  }
  if (Cached(n_) || n_ / threads < 4 * kMaxStepsAtOnce) return 1;
  // Measured: more steps cost more halo, fewer read the grid more often.
  return Wide() ? kMaxStepsAtOnce : ShortRows() ? 6 : 8;
}

template <typename T>
StepCounts Stepper<T>::StepMany(const KernelParams& params, size_t steps, const Spikes& spikes,
                                Team& team, std::span<FrameDraft> drafts) {
  if (!strips_.empty()) return strips_.Step(params, {spikes.data(), steps}, &team, &reach_);
  if (spikes[0]) unspiked_ = now_.field[Place(spikes[0]->row, spikes[0]->column)];
  AddSpike(spikes[0]);
  const size_t width = Wide() ? kTileColumns + 2 * kColumnHalo : n_;
  const size_t size = TileRun::ScratchSize(kMaxStepsAtOnce, Pace(), width);
  scratch_.resize(std::max(scratch_.size(), team.members()));
  const size_t tiles = Tiles(team.members());
  std::atomic<size_t> next_tile{0};
  std::mutex mutex;
  StepCounts counts;
  Reach seen = kNothingSeen;
  team.Run([&](size_t member) {
    AlignedVector<T>& scratch = scratch_[member];
    if (scratch.size() < size) scratch.resize(size);
    for (size_t k; (k = next_tile.fetch_add(1)) < tiles;) {
      TileRun run(*this, params, steps, spikes, TileAt(k, tiles), drafts, &scratch);
      const StepCounts more = run.Run();
      const std::lock_guard lock(mutex);
      counts += more;
      seen = Union(seen, run.seen());
      run.MergeDrafts();
    }
  });
  reach_ = Settled(seen, params);
  SwapStates(params);
  return counts;
}

template <typename T>
void Stepper<T>::UndoMany(const KernelParams& params, const Spikes& spikes) {
  SwapStates(params);
  if (spikes[0]) now_.field[Place(spikes[0]->row, spikes[0]->column)] = unspiked_;
  reach_ = {};
}

template class Stepper<double>;
template class Stepper<float>;

}  // namespace mfn::engine
