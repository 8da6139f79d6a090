// Box-counting dimension of a square binary image: sizes, counting and fit of section 5.1 of the
// numeric model, and the three variants of section 6.3 that are built from them.

#ifndef MFN_SERVER_ENGINE_BOXCOUNT_H_
#define MFN_SERVER_ENGINE_BOXCOUNT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "server/engine/cancel.h"
#include "server/engine/error.h"

namespace mfn::engine {

// A square image of active and inactive cells: one bit each, rows begin with a new word.
class BinaryImage {
 public:
  BinaryImage() = default;
  // A cell is active if it is not 0. `cells` must hold n * n, n >= 1; else the image is not
  // valid().
  BinaryImage(std::span<const uint8_t> cells, int64_t n);
  // Active: values[k] > threshold (strict; NaN is inactive). Otherwise as above; keeps its memory.
  void SetAbove(std::span<const double> values, int64_t n, double threshold);

  bool valid() const { return valid_; }
  int64_t n() const { return n_; }
  // Bit j % 64 of word j / 64 is column j; bits beyond the row are zero.
  std::span<const uint64_t> Row(int64_t i) const {
    return {words_.data() + static_cast<size_t>(i) * row_words_, row_words_};
  }
  int64_t CountActive() const;

 private:
  void Shape(size_t cells, int64_t n);

  int64_t n_ = 0;
  size_t row_words_ = 0;
  bool valid_ = false;
  std::vector<uint64_t> words_;
};

// The first active column at or after `from`, or 64 * row.size() if there is none.
int64_t NextActive(std::span<const uint64_t> row, int64_t from);

// image[k] = values[k] > threshold (strict; NaN is inactive).
std::vector<uint8_t> ActiveCells(std::span<const double> values, double threshold);

struct BoxSizeRule {
  int64_t min_box_size = 2;             // >= 1
  std::optional<int64_t> max_box_size;  // absent: min(min * 2^(scales - 1), n / 2)
  int64_t num_scales = 5;               // >= 1
};

inline constexpr int64_t kMaxBoxScales = 1024;

// The box sizes for an n x n image, ascending, without duplicates, at least one. Truncation is the
// reference's: the default sizes are 2 4 7 16 32. Sizes above n are possible.
// kInvalidArgument on "min_box_size" or "num_scales" below their minimum; kResourceExhausted on
// "num_scales" above kMaxBoxScales.
Expected<std::vector<int64_t>> BoxSizes(const BoxSizeRule& rule, int64_t n);

struct BoxCount {
  int64_t size = 0;   // side of a box
  int64_t count = 0;  // boxes with at least one active cell
};

// One entry for each size that fits into the image at least once, zero counts included. Only full
// boxes count: rows and columns beyond the last full box are ignored.
std::vector<BoxCount> CountBoxes(const BinaryImage& image, std::span<const int64_t> sizes);

struct BoxFit {
  double dimension = 0.0;
  double r2 = 0.0;
};

// Least-squares line of log(count) over log(1/size), zero counts left out; {0, 0} with fewer than
// two usable pairs, r2 = 0 when all counts are equal. r2 is not clamped.
BoxFit FitBoxCounts(std::span<const BoxCount> counts);

// The feature's variant (D_box, D_r2): num_scales >= 2, r2 clamped to [0, 1]. `cancel` is polled
// before each size.
Expected<BoxFit> FeatureBoxDimension(const BinaryImage& image, const BoxSizeRule& rule = {},
                                     const CancelCheck& cancel = {});

// The model function's variant: the dimension alone. num_scales >= 1 (1 always gives 0). Sizes
// above n are skipped, where the reference fails.
Expected<double> ModelBoxDimension(const BinaryImage& image, const BoxSizeRule& rule = {});

// The fractal engine's variant: min_box_size >= 1 and num_scales in [3, 10], else kOutOfRange. A
// num_scales_override other than 0 replaces the configured value without that check.
Expected<BoxFit> EngineBoxDimension(const BinaryImage& image, const BoxSizeRule& rule = {},
                                    int64_t num_scales_override = 0);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_BOXCOUNT_H_
