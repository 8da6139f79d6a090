// A grid that is stepped in place. Internal to the engine: stepper.h is the door.
//
// The new state of a row is written where, two rows away, the old one is needed no more. Against
// two states beside each other that halves the memory in use, and no cache line is read only to be
// written over: a grid of 256 x 256 stays in a core's own cache. With every step the rows move by
// two, so sweeps go down and up by turns.
//
// A larger grid takes several steps in one sweep, each some rows behind the one before it. Several
// threads take a strip of rows each; a strip has a halo, rows of its neighbours that are copied
// before a sweep and computed on both sides while it lasts. The bits are the same in every case.

#ifndef MFN_SERVER_ENGINE_STRIPS_H_
#define MFN_SERVER_ENGINE_STRIPS_H_

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "server/engine/aligned.h"
#include "server/engine/kernel.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/reach.h"
#include "server/engine/team.h"

namespace mfn::engine {

// The three arrays of a state, T double or float.
template <typename T>
struct StateArrays {
  T* field = nullptr;
  T* activator = nullptr;
  T* inhibitor = nullptr;
};

// Not safe for use by two threads at once. Allocates nothing.
template <typename T>
class Strips {
 public:
  static constexpr size_t kMaxSteps = 6;
  static constexpr size_t kMaxStrips = 16;
  // Rows of one of several strips, at least: what its halo costs must be little beside them.
  static constexpr size_t kMinRows = 64;
  // What each strip needs beyond its rows: room to move, and its halo.
  static constexpr size_t kSpareRows = 6 * kMaxSteps;

  // What the arrays of a state need for an n x n grid in `count` strips: values.
  static size_t Room(size_t n, size_t count) { return Pitch(n) * (n + count * kSpareRows); }

  // An n x n grid in `count` strips, at most kMaxStrips, of at least as many rows as steps at once.
  // The arrays have Room(n, count) values each; what is in them becomes unspecified. n is a
  // multiple of the lanes of a vector.
  void Cut(size_t n, size_t count, const StateArrays<T>& memory, CellOrder order, size_t lanes);
  // Nothing is cut.
  void Clear() { count_ = 0; }
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }

  // Where a row of the grid lies now.
  StateArrays<T> Row(size_t row) const;
  // How many rows from this one on lie one after the other.
  size_t RowsTogether(size_t row) const;

  // As many steps as there are `spikes`, the one before each: at most kMaxSteps, and at most one
  // unless the boundary is periodic. All parameters are finite, no jitter. `reach` is that of the
  // state before and after. `team` shares the work unless it is null.
  StepCounts Step(const KernelParams& params, std::span<const std::optional<Spike>> spikes,
                  Team* team, Reach* reach);

 private:
  struct Strip {
    size_t row, rows;
    size_t base;  // its first row in memory, counted in rows, while shift_ is 0
  };
  // Of which steps the new values are looked at.
  enum class Watch { kNone, kLast, kAll };
  class Sweep;

  // From a row to the next. Wide rows have room for vectors that are put aside, which also makes
  // them begin at different places within a page.
  static size_t Pitch(size_t n) { return n > kPartCells<T> ? n + 8 * kCacheLine / sizeof(T) : n; }
  // A row of a strip, counted from its first; the halo's are beyond.
  T* At(const Strip& strip, ptrdiff_t row, ptrdiff_t shift) const {
    return memory_.field +
           (static_cast<ptrdiff_t>(strip.base) + row + shift) * static_cast<ptrdiff_t>(pitch_);
  }
  const Strip& StripOf(size_t row) const;
  size_t Place(size_t column) const;
  void SweepTogether(const KernelParams& params, std::span<const std::optional<Spike>> spikes,
                     bool up, Watch watch, Team* team, StepCounts* counts, Reach* seen);
  void GiveBorders(const KernelParams& params, size_t steps, size_t k);
  void CopyRows(const KernelParams& params, const T* from, size_t rows, T* to) const;

  size_t n_ = 0;
  size_t pitch_ = 0;
  StateArrays<T> memory_;
  ptrdiff_t activator_ = 0, inhibitor_ = 0;  // from a cell of the field
  CellOrder order_ = CellOrder::kColumns;
  size_t lanes_ = 1;
  ptrdiff_t shift_ = 0;  // rows by which the state has moved
  size_t count_ = 0;
  std::array<Strip, kMaxStrips> strips_;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_STRIPS_H_
