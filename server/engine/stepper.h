// Steps of a whole grid, put together from blocks of rows (kernel_simd.h). Internal to the engine:
// simulation.h is the door.
//
// While nobody looks on, a grid is stepped in place (strips.h). Otherwise there are two states, and
// a grid that fits into the cache is stepped once per sweep; a larger one is cut into tiles which
// are taken several steps ahead, each on its own, with a halo of cells around them that is computed
// by both neighbours. That costs a few cells twice, and saves reading the grid from memory for
// every step; it also is how several threads share one grid. The bits are the same in every case: a
// cell's value depends on nothing else than its neighbours' of the step before.

#ifndef MFN_SERVER_ENGINE_STEPPER_H_
#define MFN_SERVER_ENGINE_STEPPER_H_

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "server/engine/aligned.h"
#include "server/engine/features.h"
#include "server/engine/frame_draft.h"
#include "server/engine/kernel.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/reach.h"
#include "server/engine/strips.h"
#include "server/engine/team.h"

namespace mfn::engine {

inline constexpr size_t kMaxStepsAtOnce = 16;
inline constexpr size_t kMaxDraftSide = 1024;

// The spike before each of the steps that are taken at once.
using Spikes = std::array<std::optional<Spike>, kMaxStepsAtOnce>;

// The state of an n x n grid, T double or float, and room for the next one. Not safe for use by two
// threads at once.
template <typename T>
class Stepper {
 public:
  // n >= 1. With room for so many strips, if the grid can be cut into strips. Keeps the memory if
  // it is large enough; the state is unspecified. May throw std::bad_alloc.
  void Resize(size_t n, size_t strips = 1);

  size_t n() const { return n_; }
  // What it holds, used or not.
  size_t MemoryBytes() const;
  // The state, row by row; not while it is arranged otherwise. Spans that can be written are good
  // until the next step.
  std::span<T> field() { return Writable(now_.field); }
  std::span<T> activator() { return Writable(now_.activator); }
  std::span<T> inhibitor() { return Writable(now_.inhibitor); }
  std::span<const T> field() const { return {now_.field, n_ * n_}; }
  std::span<const T> activator() const { return {now_.activator, n_ * n_}; }
  std::span<const T> inhibitor() const { return {now_.inhibitor, n_ * n_}; }

  // Before and after many steps without an observer: where and in what order the cells lie best for
  // them, and back to row by row. Turning costs about as much as two steps, so this does nothing
  // for a few. With `features`, Step may be given some; without, several steps at once are taken
  // with `team`, which shares the work unless it is null.
  void Arrange(const KernelParams& params, int64_t steps, bool features, Team* team = nullptr);
  void ArrangeByColumns(const KernelParams& params, Team* team = nullptr);

  // One step. The generator is used for jitter only: n * n normals, row-major. `features`, unless
  // null, takes in the new field row by row; only if the state was arranged for them, or not at
  // all, as for jitter.
  StepCounts Step(const KernelParams& params, const std::optional<Spike>& spike,
                  Generator& generator, FeatureAccumulator* features);

  // How many steps should be taken at once; 1: only Step is possible, or nothing is to be gained.
  size_t StepsAtOnce(const KernelParams& params, size_t threads) const;

  // `steps` steps, at most StepsAtOnce for team.members() threads. With `drafts`, unless empty one
  // for each step, what the features need of the frames goes there; n is a multiple of 128 then, at
  // most kMaxDraftSide, and the state lies by columns.
  StepCounts StepMany(const KernelParams& params, size_t steps, const Spikes& spikes, Team& team,
                      std::span<FrameDraft> drafts = {});

  // Up to `steps` steps, at most kMaxStepsAtOnce, by a team of any size, whose frames `features`
  // takes in; no jitter, finite parameters, n at most kMaxGridSize. With stop_if_bad it ends after
  // a step with a value that is not finite. Returns how many steps it took and adds what they
  // counted.
  size_t StepTogether(const KernelParams& params, size_t steps, const Spikes& spikes,
                      bool stop_if_bad, Team& team, FeatureAccumulator* features,
                      StepCounts* counts);

  // Goes back to the state before the last StepMany, if nothing has been done since; `spikes` are
  // those given to it. Not if the state was arranged without features and the chemistry is clamped:
  // its steps are taken in place.
  void UndoMany(const KernelParams& params, const Spikes& spikes);

 private:
  using Fields = StateArrays<T>;
  // Cells [row, row_end) x [column, column_end).
  struct Tile {
    size_t row, row_end, column, column_end;
  };
  // Rows that are stepped before features or jitter take them, while they are in the nearest cache.
  static constexpr size_t kHotRows = 8;
  class TileRun;
  class TogetherRun;

  std::span<T> Writable(T* array) {
    reach_ = {};
    return {array, n_ * n_};
  }
  // Grids up to this side stay in a core's own cache with both states.
  static constexpr size_t kCachedSide = 160 * sizeof(double) / sizeof(T);
  // Up to this side, with one.
  static constexpr size_t kCachedInPlace = sizeof(T) == sizeof(double) ? 272 : 384;
  // Longer rows are cut, with a halo on each side.
  static constexpr size_t kLongRow = kMaxDraftSide;
  static bool Cached(size_t n) { return n <= kCachedSide; }
  bool HasBands(const KernelParams& params) const;
  bool CanBeCut() const;
  size_t StripsFor(const KernelParams& params, const Team* team) const;
  Fields RowIn(const Fields& state, size_t row) const {
    const size_t at = row * n_;
    return {state.field + at, state.activator + at, state.inhibitor + at};
  }
  void FillZeroRows();
  bool HasEighths(const KernelParams& params) const;
  void TurnEighths(bool back, const T* from, T* to) const;
  StepCounts StepTapped(const KernelParams& params, const std::optional<Spike>& spike,
                        FeatureAccumulator* features);
  bool ByBands() const { return order_ == CellOrder::kBands || order_ == CellOrder::kEighths; }
  // Rows of vectors, if the state lies by bands.
  size_t Rows() const { return ByBands() ? n_ / lanes_ : n_; }
  size_t RowCells() const { return ByBands() ? n_ * lanes_ : n_; }
  size_t Place(size_t row, size_t column) const;
  void AddSpike(const std::optional<Spike>& spike);
  const T* RowOf(const T* array, const KernelParams& params, ptrdiff_t row) const;
  void FillBlock(const KernelParams& params, size_t first, size_t end, RowBlock<T>* block) const;
  // Rows of which many levels of a tile stay in a core's own cache.
  bool ShortRows() const { return n_ * sizeof(T) <= 384 * sizeof(double); }
  // Rows that a level of a tile advances at a time (measured).
  size_t Pace() const { return ShortRows() ? 10 : 4; }
  size_t Tiles(size_t threads) const;
  Tile TileAt(size_t k, size_t tiles) const;
  bool Wide() const;
  void SwapStates(const KernelParams& params);
  template <typename From, typename To, typename Turn>
  void MoveRows(const KernelParams& params, Team* team, const From& from, const To& to,
                const Turn& turn);
  template <typename Turn>
  void TurnGrid(const KernelParams& params, const Turn& turn);

  size_t n_ = 0;
  Fields now_, next_;
  Reach reach_;  // of the state now
  CellOrder order_ = CellOrder::kColumns;
  size_t lanes_ = 1;  // of that order
  size_t room_ = 0;   // for strips
  Strips<T> strips_;  // where the state is, unless empty; in the memory of next_
  T unspiked_{};      // the cell of the last StepMany's first spike before it
  AlignedVector<T> memory_;
  AlignedVector<double> noise_;
  std::vector<AlignedVector<T>> scratch_;  // one for each thread that works on tiles
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_STEPPER_H_
