// Box sizes in binary64 exactly as the reference forms them, counting, and the fit.

#include "server/engine/boxcount.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "server/engine/sum_simd.h"

namespace mfn::engine {
namespace {

constexpr int64_t kMaxImageSide = int64_t{1} << 30;
// Sizes beyond this are all the same (no image is so large) and must not overflow in conversions.
constexpr int64_t kMaxBoxSize = int64_t{1} << 60;

// lo * 2^(scales - 1), cut off far above any grid instead of overflowing.
int64_t LargestDoubling(int64_t lo, int64_t scales) {
  constexpr int64_t kCeiling = int64_t{1} << 40;
  for (int64_t k = 1; k < scales && lo < kCeiling; ++k) lo *= 2;
  return lo;
}

int64_t LargestBox(const BoxSizeRule& rule, int64_t n) {
  const int64_t half = n >= 4 ? n / 2 : n;
  const int64_t hi = rule.max_box_size.value_or(
      std::min(LargestDoubling(rule.min_box_size, rule.num_scales), half));
  return std::clamp(hi, std::min(rule.min_box_size, kMaxBoxSize), kMaxBoxSize);
}

int64_t OccupiedBoxes(const BinaryImage& image, int64_t size, std::vector<uint64_t>& occupied) {
  const int64_t boxes = image.n() / size;
  int64_t count = 0;
  for (int64_t box_row = 0; box_row < boxes; ++box_row) {
    std::fill(occupied.begin(), occupied.end(), 0);
    for (int64_t i = box_row * size; i < (box_row + 1) * size; ++i) {
      const std::span<const uint64_t> row = image.Row(i);
      for (size_t w = 0; w < occupied.size(); ++w) occupied[w] |= row[w];
    }
    for (int64_t j = NextActive(occupied, 0); j < boxes * size;) {
      ++count;
      j = NextActive(occupied, (j / size + 1) * size);
    }
  }
  return count;
}

Expected<void> CheckImage(const BinaryImage& image) {
  if (image.valid()) return {};
  return InvalidArgument("image", "the image must be square with side " +
                                      std::to_string(image.n()) + " and as many cells");
}

// What the three variants share once their own checks have passed.
Expected<BoxFit> Dimension(const BinaryImage& image, const BoxSizeRule& rule,
                           const CancelCheck& cancel = {}) {
  if (auto valid = CheckImage(image); !valid.ok()) return valid.error();
  auto sizes = BoxSizes(rule, image.n());
  if (!sizes.ok()) return sizes.error();
  std::vector<BoxCount> counts;
  for (const int64_t& size : *sizes) {
    if (IsCancelled(cancel)) return Cancelled();
    for (const BoxCount& count : CountBoxes(image, {&size, 1})) counts.push_back(count);
  }
  return FitBoxCounts(counts);
}

}  // namespace

BinaryImage::BinaryImage(std::span<const uint8_t> cells, int64_t n) {
  Shape(cells.size(), n);
  if (!valid_) return;
  const size_t side = static_cast<size_t>(n);
  for (size_t k = 0; k < cells.size(); ++k) {
    const size_t j = k % side;
    if (cells[k] != 0) words_[k / side * row_words_ + j / 64] |= uint64_t{1} << (j % 64);
  }
}

void BinaryImage::SetAbove(std::span<const double> values, int64_t n, double threshold) {
  Shape(values.size(), n);
  if (!valid_) return;
  const size_t side = static_cast<size_t>(n);
  for (size_t i = 0; i < side; ++i) {
    BitsAbove(values.data() + i * side, side, threshold, words_.data() + i * row_words_);
  }
}

void BinaryImage::Shape(size_t cells, int64_t n) {
  n_ = n;
  valid_ = n >= 1 && n <= kMaxImageSide && cells == static_cast<size_t>(n * n);
  row_words_ = valid_ ? (static_cast<size_t>(n) + 63) / 64 : 0;
  words_.assign(valid_ ? row_words_ * static_cast<size_t>(n) : 0, 0);
}

int64_t BinaryImage::CountActive() const {
  int64_t count = 0;
  for (uint64_t word : words_) count += std::popcount(word);
  return count;
}

int64_t NextActive(std::span<const uint64_t> row, int64_t from) {
  size_t w = static_cast<size_t>(from) / 64;
  if (w >= row.size()) return static_cast<int64_t>(row.size()) * 64;
  uint64_t word = row[w] >> (from % 64) << (from % 64);
  while (word == 0) {
    if (++w == row.size()) return static_cast<int64_t>(row.size()) * 64;
    word = row[w];
  }
  return static_cast<int64_t>(w) * 64 + std::countr_zero(word);
}

std::vector<uint8_t> ActiveCells(std::span<const double> values, double threshold) {
  std::vector<uint8_t> cells(values.size());
  for (size_t k = 0; k < values.size(); ++k) cells[k] = values[k] > threshold ? 1 : 0;
  return cells;
}

Expected<std::vector<int64_t>> BoxSizes(const BoxSizeRule& rule, int64_t n) {
  if (rule.min_box_size < 1) {
    return InvalidArgument("min_box_size", static_cast<double>(rule.min_box_size), 1.0,
                           std::nullopt);
  }
  if (rule.num_scales < 1) {
    return InvalidArgument("num_scales", static_cast<double>(rule.num_scales), 1.0, std::nullopt);
  }
  if (rule.num_scales > kMaxBoxScales) {
    Error error = InvalidArgument("num_scales", static_cast<double>(rule.num_scales), 1.0,
                                  static_cast<double>(kMaxBoxScales));
    error.kind = ErrorKind::kResourceExhausted;
    return error;
  }
  const int64_t lo = std::min(rule.min_box_size, kMaxBoxSize);
  const int64_t hi = LargestBox(rule, n);
  const int64_t k = rule.num_scales;
  std::vector<int64_t> sizes = {lo};
  if (k == 1) return sizes;
  const double intervals = static_cast<double>(k - 1);
  const double start = std::log10(static_cast<double>(lo));
  const double delta = std::log10(static_cast<double>(hi)) - start;
  const double step = delta / intervals;
  for (int64_t q = 1; q < k - 1; ++q) {
    const double part = static_cast<double>(q);
    const double exponent = (step != 0.0 ? part * step : (part / intervals) * delta) + start;
    sizes.push_back(static_cast<int64_t>(std::pow(10.0, exponent)));
  }
  sizes.push_back(hi);
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

std::vector<BoxCount> CountBoxes(const BinaryImage& image, std::span<const int64_t> sizes) {
  std::vector<BoxCount> counts;
  std::vector<uint64_t> occupied(image.Row(0).size());
  for (int64_t size : sizes) {
    if (size < 1 || size > image.n()) continue;
    counts.push_back({size, OccupiedBoxes(image, size, occupied)});
  }
  return counts;
}

BoxFit FitBoxCounts(std::span<const BoxCount> counts) {
  std::vector<double> x;
  std::vector<double> y;
  bool all_equal = true;
  int64_t first = 0;
  for (const BoxCount& entry : counts) {
    if (entry.count <= 0) continue;
    if (first == 0) first = entry.count;
    all_equal = all_equal && entry.count == first;
    x.push_back(std::log(1.0 / static_cast<double>(entry.size)));
    y.push_back(std::log(static_cast<double>(entry.count)));
  }
  if (x.size() < 2) return {};
  double mean_x = 0.0;
  double mean_y = 0.0;
  for (size_t k = 0; k < x.size(); ++k) {
    mean_x += x[k];
    mean_y += y[k];
  }
  mean_x /= static_cast<double>(x.size());
  mean_y /= static_cast<double>(y.size());
  double sxx = 0.0;
  double sxy = 0.0;
  double total = 0.0;
  for (size_t k = 0; k < x.size(); ++k) {
    sxx += (x[k] - mean_x) * (x[k] - mean_x);
    sxy += (x[k] - mean_x) * (y[k] - mean_y);
    total += (y[k] - mean_y) * (y[k] - mean_y);
  }
  BoxFit fit;
  fit.dimension = all_equal ? 0.0 : sxy / sxx;
  if (all_equal || total == 0.0) return fit;
  double residual = 0.0;
  for (size_t k = 0; k < x.size(); ++k) {
    const double r = y[k] - (mean_y + fit.dimension * (x[k] - mean_x));
    residual += r * r;
  }
  fit.r2 = 1.0 - residual / total;
  return fit;
}

Expected<BoxFit> FeatureBoxDimension(const BinaryImage& image, const BoxSizeRule& rule,
                                     const CancelCheck& cancel) {
  if (rule.num_scales < 2) {
    return InvalidArgument("num_scales", static_cast<double>(rule.num_scales), 2.0, std::nullopt);
  }
  auto fit = Dimension(image, rule, cancel);
  if (fit.ok()) fit->r2 = std::clamp(fit->r2, 0.0, 1.0);
  return fit;
}

Expected<double> ModelBoxDimension(const BinaryImage& image, const BoxSizeRule& rule) {
  auto fit = Dimension(image, rule);
  if (!fit.ok()) return fit.error();
  return fit->dimension;
}

Expected<BoxFit> EngineBoxDimension(const BinaryImage& image, const BoxSizeRule& rule,
                                    int64_t num_scales_override) {
  if (rule.min_box_size < 1) {
    return OutOfRange("min_box_size", static_cast<double>(rule.min_box_size), 1.0, std::nullopt);
  }
  if (rule.num_scales < 3 || rule.num_scales > 10) {
    return OutOfRange("num_scales", static_cast<double>(rule.num_scales), 3.0, 10.0);
  }
  BoxSizeRule effective = rule;
  if (num_scales_override != 0) effective.num_scales = num_scales_override;
  return Dimension(image, effective);
}

}  // namespace mfn::engine
