// The sum behind every mean, standard deviation and total of the numeric model (section 1.1):
// NumPy's pairwise sum over chunks of 8192 elements. With it these figures are exact.

#ifndef MFN_SERVER_ENGINE_SUM_H_
#define MFN_SERVER_ENGINE_SUM_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "server/engine/sum_simd.h"

namespace mfn::engine {

inline constexpr size_t kSumChunk = 8192;

// pw(): pairwise sum of element(begin) .. element(begin + n - 1). `element` maps an index to a
// double; it lets a caller sum squares or differences without writing them to memory first.
template <typename Element>
double PairwiseSumOf(size_t begin, size_t n, const Element& element) {
  if (n < 8) {
    double sum = 0.0;
    for (size_t k = 0; k < n; ++k) sum += element(begin + k);
    return sum;
  }
  if (n > 128) {
    size_t half = n / 2;
    half -= half % 8;
    return PairwiseSumOf(begin, half, element) + PairwiseSumOf(begin + half, n - half, element);
  }
  double r[8];
  for (size_t q = 0; q < 8; ++q) r[q] = element(begin + q);
  size_t k = 8;
  for (; k < n - n % 8; k += 8) {
    for (size_t q = 0; q < 8; ++q) r[q] += element(begin + k + q);
  }
  double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; k < n; ++k) sum += element(begin + k);
  return sum;
}

// np_sum() of element(0) .. element(n - 1).
template <typename Element>
double SumOf(size_t n, const Element& element) {
  double sum = 0.0;
  for (size_t begin = 0; begin < n; begin += kSumChunk) {
    sum += PairwiseSumOf(begin, std::min(kSumChunk, n - begin), element);
  }
  return sum;
}

// np_sum(a). Arrays of any rank are summed as one flat row-major array.
inline double Sum(std::span<const double> a) { return SumVectors(a.data(), a.size()); }

// mean(a) = np_sum(a) / n; NaN for an empty array.
inline double Mean(std::span<const double> a) { return Sum(a) / static_cast<double>(a.size()); }

// The population standard deviation (ddof 0) around a mean that is known.
inline double Std(std::span<const double> a, double mean) {
  const double n = static_cast<double>(a.size());
  return std::sqrt(SumSquaredDeviations(a.data(), a.size(), mean) / n);
}

// The least and the greatest value, NaN if there is one; `mean` is their mean, and `a` not empty.
inline Range RangeOrNan(std::span<const double> a, double mean) {
  Range range = RangeOf(a.data(), a.size());
  if (std::isfinite(mean)) return range;
  for (const double x : a) {
    range.min = x < range.min || x != x ? x : range.min;
    range.max = x > range.max || x != x ? x : range.max;
  }
  return range;
}

// std(a), the population standard deviation; NaN for an empty array.
inline double Std(std::span<const double> a) { return Std(a, Mean(a)); }

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_SUM_H_
