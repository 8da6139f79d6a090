// The part of a step that runs in vectors, a few rows at a time (stepper.h puts rows together to
// grids and steps). Internal to the engine.
//
// Nearly always every new value lies inside all limits, and nothing has to be clamped or counted:
// StepRows writes the values as the stencil and the chemistry give them and says whether that was
// so. If not, SettleRow applies what the model has after them: threshold, clamps, counts.

#ifndef MFN_SERVER_ENGINE_KERNEL_SIMD_H_
#define MFN_SERVER_ENGINE_KERNEL_SIMD_H_

#include <cstddef>

#include "server/engine/kernel.h"
#include "server/engine/reach.h"
#include "server/engine/sum_simd.h"

namespace mfn::engine {

// What lies before the first and after the last cell of a row.
enum class RowEnds {
  kWrap,    // the other end
  kOwn,     // the cell's own value
  kZero,    // 0
  kMemory,  // what is there in memory: the row is part of a longer one
};

// What a boundary makes of the ends of whole rows.
inline RowEnds EndsOf(Boundary boundary) {
  return boundary == Boundary::kPeriodic  ? RowEnds::kWrap
         : boundary == Boundary::kNeumann ? RowEnds::kOwn
                                          : RowEnds::kZero;
}

// In which order the cells of a row lie (lanes_simd.h says more).
enum class CellOrder {
  kColumns,  // as they stand
  kLanes,    // neighbours lie in the vectors beside, but at the ends of a lane's part
  kBands,    // every lane has a row of its own, with neighbours in the vectors beside. Mfn only
  kEighths,  // by bands, and of a row every eighth column lies beside each other (StepGridTapped)
};

inline constexpr size_t kMaxBlockRows = 32;
// Wider rows are taken in parts of so many cells, of which two rows, old and new, and the two
// before fit into the nearest cache, unless rows begin at the same place of a page and compete for
// the same lines.
template <typename T>
inline constexpr size_t kPartCells = 2048 / sizeof(T);

// Some rows next to each other, of both states. T is double or float. Reads may touch one value
// before and after each row of the old state; nothing is done with it unless ends is kMemory.
//
// The three arrays of a state lie at fixed distances in one piece of memory, so that a row of the
// field says where those of the chemistry are.
template <typename T>
struct RowBlock {
  size_t rows = 0;   // [1, kMaxBlockRows]
  size_t width = 0;  // cells of a row, at least 1
  RowEnds ends = RowEnds::kWrap;
  CellOrder order = CellOrder::kColumns;  // kMemory: kColumns; kBands: kWrap
  // By bands: whether this is the grid's first or last block, before or after which each lane goes
  // on in the one beside it: field[0] is the grid's last row, field[rows + 1] its first. Rows are
  // even in number then.
  bool first = false;
  bool last = false;
  // From the last row to the first. In place, the new state moves by two rows or more against the
  // direction in which rows are taken; by one row it would meet what is still needed.
  bool up = false;
  // In place, if rows have several parts: room for a vector of each part, counted from a new row's
  // first cell.
  ptrdiff_t aside = 0;
  // From a cell of the field to the activator's and the inhibitor's, in values. Without
  // turing_enabled the chemistry is not looked at.
  ptrdiff_t activator = 0;
  ptrdiff_t inhibitor = 0;
  ptrdiff_t next_activator = 0;
  ptrdiff_t next_inhibitor = 0;
  // Old state: row k is at k + 1, the rows above and below at 0 and rows + 1. New state: row k at
  // k. They may overlap only if rows are whole vectors and move as `up` says.
  const T* field[kMaxBlockRows + 2];
  T* next_field[kMaxBlockRows];
};

// Diffusion and chemistry. True if no new value needs threshold or clamp (of the field: unless
// quantum_jitter, when it is clamped later) and all are finite.
//
// With `seen`, all of this is looked at, and *seen is widened to the new values; of what a kinetics
// has no limit for, nothing is said. Without, the new state must be known to be WithinLimits.
bool StepRows(const KernelParams& params, const RowBlock<double>& block, Reach* seen);
bool StepRows(const KernelParams& params, const RowBlock<float>& block, Reach* seen);

// A whole grid by eighths, of Mfn as it is: as StepRows, and what the features need of the field is
// gathered while the old and the new one are in registers. Every eighth cell of a leaf of their
// sums goes to one partial sum, and in this order of the columns one stays in a register while a
// row's share of it passes.
//
// `tap` receives for each unit, a leaf in every lane and one row or two, kTapVectors vectors: the
// eight partial sums of |h - h before|, h = v * 1000, then the leaf's sum of h * h. Aligned. It is
// that of the new field as it was written; if it is settled, TapSettled makes it anew.
inline constexpr size_t kTapVectors = 9;
bool StepGridTapped(const KernelParams& params, const RowBlock<double>& block, Reach* seen,
                    double* tap);
void TapSettled(const RowBlock<double>& block, double* tap);

// Threshold, clamps and counts for `width` cells of a new state, in place. The field is not clamped
// if quantum_jitter.
void SettleRow(const KernelParams& params, size_t width, double* field, double* activator,
               double* inhibitor, StepCounts* counts);
void SettleRow(const KernelParams& params, size_t width, float* field, float* activator,
               float* inhibitor, StepCounts* counts);

// field[k] += noise[k], then the clamp of the field, counted.
void AddNoiseAndClamp(size_t width, const double* noise, double* field, StepCounts* counts);
void AddNoiseAndClamp(size_t width, const double* noise, float* field, StepCounts* counts);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KERNEL_SIMD_H_
