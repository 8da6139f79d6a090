// Cluster labelling by flood fill with a stack of its own, so that depth does not matter.

#include "server/engine/clusters.h"

#include <cstddef>

namespace mfn::engine {
namespace {

// Eats one cluster at a time out of a copy of the image.
class Filler {
 public:
  Filler(const BinaryImage& image, Connectivity connectivity)
      : left_(image.cells.begin(), image.cells.end()),
        n_(image.n),
        corners_(connectivity == Connectivity::kEight) {}

  // The size of the cluster that `cell` belongs to, or 0 if the cell is inactive or was counted.
  int64_t Take(int64_t cell) {
    if (left_[cell] == 0) return 0;
    Push(cell);
    int64_t size = 0;
    while (!stack_.empty()) {
      const int64_t at = stack_.back();
      stack_.pop_back();
      ++size;
      PushNeighbours(at / n_, at % n_);
    }
    return size;
  }

 private:
  void Push(int64_t cell) {
    left_[cell] = 0;
    stack_.push_back(cell);
  }

  void PushNeighbours(int64_t i, int64_t j) {
    for (int64_t di = -1; di <= 1; ++di) {
      for (int64_t dj = -1; dj <= 1; ++dj) {
        if (!corners_ && di != 0 && dj != 0) continue;
        const int64_t row = i + di;
        const int64_t column = j + dj;
        if (row < 0 || row >= n_ || column < 0 || column >= n_) continue;
        if (left_[row * n_ + column] != 0) Push(row * n_ + column);
      }
    }
  }

  std::vector<uint8_t> left_;
  std::vector<int64_t> stack_;
  int64_t n_;
  bool corners_;
};

}  // namespace

std::vector<int64_t> ClusterSizes(const BinaryImage& image, Connectivity connectivity) {
  Filler filler(image, connectivity);
  std::vector<int64_t> sizes;
  for (int64_t cell = 0; cell < image.n * image.n; ++cell) {
    if (const int64_t size = filler.Take(cell); size > 0) sizes.push_back(size);
  }
  return sizes;
}

}  // namespace mfn::engine
