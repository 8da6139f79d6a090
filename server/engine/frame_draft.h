// A frame's share of the features, gathered row by row in any order, by several threads, and for
// several frames at once: what tiles that are several steps ahead can give. Internal to the engine.

#ifndef MFN_SERVER_ENGINE_FRAME_DRAFT_H_
#define MFN_SERVER_ENGINE_FRAME_DRAFT_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "server/engine/sum_simd.h"

namespace mfn::engine {

// Of an n x n grid, n a multiple of 128, after the first frame. Rows may be added by several
// threads; their sums are merged.
class FrameDraft {
 public:
  // Starts over; `begin` is what a frame's sums begin with. May throw std::bad_alloc.
  void Reset(size_t n, const FrameSums& begin) {
    row_leaves_ = n / kSumLeaf;
    energies_.resize(n * row_leaves_);
    changes_.resize(n * row_leaves_);
    begin_ = sums_ = begin;
  }

  const FrameSums& NoSums() const { return begin_; }
  // One row of the frame, and the same of the one before, in volt. Each row once.
  template <typename T>
  void AddRow(size_t row, const T* before, const T* after, FrameSums* sums) {
    const LeafSums to = {energies_.data() + row * row_leaves_, changes_.data() + row * row_leaves_};
    AddFrameLeaves(before, after, row_leaves_, nullptr, to, sums);
  }
  // What came together in NoSums() for some rows; by one thread at a time.
  void Merge(const FrameSums& sums) {
    sums_.largest = std::max(sums_.largest, sums.largest);
    for (size_t k = 0; k < 8; ++k) {
      sums_.group_sum[k] += sums.group_sum[k];
      sums_.group_square[k] += sums.group_square[k];
    }
  }

  const std::vector<double>& energies() const { return energies_; }
  const std::vector<double>& changes() const { return changes_; }
  const FrameSums& sums() const { return sums_; }
  size_t MemoryBytes() const {
    return sizeof(double) * (energies_.capacity() + changes_.capacity());
  }

 private:
  size_t row_leaves_ = 0;
  std::vector<double> energies_, changes_;  // of each leaf, in the order of the cells
  FrameSums begin_, sums_;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_FRAME_DRAFT_H_
