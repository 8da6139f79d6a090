// Sums in vectors, in NumPy's order (numeric model, section 1.1), and the passes over a frame that
// features need. Internal to the engine: sum.h and features.h are the doors.
//
// A leaf of the pairwise sum is eight partial sums side by side: eight lanes, whatever the width of
// the vectors. So every function gives the same bits on every instruction set.

#ifndef MFN_SERVER_ENGINE_SUM_SIMD_H_
#define MFN_SERVER_ENGINE_SUM_SIMD_H_

#include <cstddef>
#include <cstdint>

namespace mfn::engine {

inline constexpr size_t kSumLeaf = 128;

// np_sum(a), and of the squared distances from `mean`.
double SumVectors(const double* a, size_t n);
double SumSquaredDeviations(const double* a, size_t n, double mean);

// np_sum of the second, third and fourth powers of a[k] - mean.
struct CentralSums {
  double second = 0.0, third = 0.0, fourth = 0.0;
};
CentralSums SumCentralPowers(const double* a, size_t n, double mean);

// Of n >= 1 values. A NaN may be missed.
struct Range {
  double min = 0.0, max = 0.0;
};
Range RangeOf(const double* a, size_t n);

// What a frame's leaves, 128 cells each, add up to. The order of these sums is not promised.
struct FrameSums {
  // |change|, mV, the largest here or before; a NaN may be missed, but group_sum shows it.
  double largest = 0.0;
  // Whether a group, below, is one cell; else 16: every eighth cell of a leaf, which is cheaper.
  bool per_cell = false;
  double group_sum[8] = {};     // sum of |change| over all groups
  double group_square[8] = {};  // of the squares of their sums
};

// Pairwise sums over each leaf: of h * h, mV^2, and of |h - h before|, mV; h = v * 1000.
struct LeafSums {
  double* energies;
  double* changes;
};

// One pass over `leaves` leaves of a frame and of the one before it, both in volt. |h - h before|
// goes to `change` as well unless that is null. For the first frame `before` is null, and there are
// no changes. Floats are widened first: the same bits as from frames of doubles of the same values.
void AddFrameLeaves(const double* before, const double* after, size_t leaves, double* change,
                    const LeafSums& to, FrameSums* sums);
void AddFrameLeaves(const float* before, const float* after, size_t leaves, double* change,
                    const LeafSums& to, FrameSums* sums);

// The same for a part of a frame that lies by lanes (lanes_simd.h): `leaves` leaves in each lane,
// which has `lane_leaves` in all. `to` is in the order of the cells; the same bits as by columns.
void AddFrameByLanes(const double* before, const double* after, size_t lanes, size_t leaves,
                     size_t lane_leaves, const LeafSums& to, FrameSums* sums);
void AddFrameByLanes(const float* before, const float* after, size_t lanes, size_t leaves,
                     size_t lane_leaves, const LeafSums& to, FrameSums* sums);

// A whole frame by eighths, of which the step kernel has gathered `tap` (kernel_simd.h); both
// frames are looked at only where a change may be larger than sums->largest, or if sums are
// per_cell. An eighth of a row is so many vectors.
void AddTappedLeaves(const double* tap, const double* before, const double* after,
                     size_t lane_leaves, size_t eighth, const LeafSums& to, FrameSums* sums);

// Bit k of words (bit k % 64 of word k / 64): a[k] > threshold; NaN is false. Bits from n up to the
// end of the last word are zero.
void BitsAbove(const double* a, size_t n, double threshold, uint64_t* words);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_SUM_SIMD_H_
