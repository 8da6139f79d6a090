// Sums and passes over frames in vectors, compiled once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/sum_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "server/engine/sum.h"
#include "server/engine/sum_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Eight lanes, in as many vectors as they take.
using Wide = hn::CappedTag<double, 8>;
using One = hn::CappedTag<double, 1>;
constexpr size_t kLanes = hn::MaxLanes(Wide());
constexpr size_t kParts = 8 / kLanes;
using V = hn::Vec<Wide>;

HWY_INLINE double TreeOf(const double* r) {
  return ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
}

HWY_INLINE double TreeOf(const V* parts) {
  HWY_ALIGN double r[8];
  for (size_t q = 0; q < kParts; ++q) hn::Store(parts[q], Wide(), r + q * kLanes);
  return TreeOf(r);
}

// pw() of kSums functions of a[0..n) at once. f(d, x, out) maps a vector to kSums vectors.
template <size_t kSums, class F>
HWY_INLINE void Leaf(const double* a, size_t n, const F& f, double* sums) {
  const Wide d;
  size_t k = 0;
  std::fill(sums, sums + kSums, 0.0);
  if (n >= 8) {
    V r[kSums][kParts];
    for (size_t q = 0; q < kParts; ++q) {
      V first[kSums];
      f(d, hn::LoadU(d, a + q * kLanes), first);
      for (size_t s = 0; s < kSums; ++s) r[s][q] = first[s];
    }
    for (k = 8; k < n - n % 8; k += 8) {
      for (size_t q = 0; q < kParts; ++q) {
        V more[kSums];
        f(d, hn::LoadU(d, a + k + q * kLanes), more);
        for (size_t s = 0; s < kSums; ++s) r[s][q] = hn::Add(r[s][q], more[s]);
      }
    }
    for (size_t s = 0; s < kSums; ++s) sums[s] = TreeOf(r[s]);
  }
  for (; k < n; ++k) {
    hn::Vec<One> more[kSums];
    f(One(), hn::Set(One(), a[k]), more);
    for (size_t s = 0; s < kSums; ++s) sums[s] += hn::GetLane(more[s]);
  }
}

template <size_t kSums, class F>
void Pairwise(const double* a, size_t n, const F& f, double* sums) {
  if (n <= kSumLeaf) return Leaf<kSums>(a, n, f, sums);
  size_t half = n / 2;
  half -= half % 8;
  double rest[kSums];
  Pairwise<kSums>(a, half, f, sums);
  Pairwise<kSums>(a + half, n - half, f, rest);
  for (size_t s = 0; s < kSums; ++s) sums[s] += rest[s];
}

template <size_t kSums, class F>
void NumPySum(const double* a, size_t n, const F& f, double* sums) {
  std::fill(sums, sums + kSums, 0.0);
  for (size_t begin = 0; begin < n; begin += kSumChunk) {
    double chunk[kSums];
    Pairwise<kSums>(a + begin, std::min(kSumChunk, n - begin), f, chunk);
    for (size_t s = 0; s < kSums; ++s) sums[s] += chunk[s];
  }
}

struct Identity {
  template <class D>
  HWY_INLINE void operator()(D, hn::Vec<D> x, hn::Vec<D>* out) const {
    out[0] = x;
  }
};

struct SquaredDeviation {
  double mean;
  template <class D>
  HWY_INLINE void operator()(D d, hn::Vec<D> x, hn::Vec<D>* out) const {
    const auto c = hn::Sub(x, hn::Set(d, mean));
    out[0] = hn::Mul(c, c);
  }
};

struct CentralPowers {
  double mean;
  template <class D>
  HWY_INLINE void operator()(D d, hn::Vec<D> x, hn::Vec<D>* out) const {
    const auto c = hn::Sub(x, hn::Set(d, mean));
    out[0] = hn::Mul(c, c);
    out[1] = hn::Mul(out[0], c);
    out[2] = hn::Mul(out[0], out[0]);
  }
};

double SumOfValues(const double* a, size_t n) {
  double sum;
  NumPySum<1>(a, n, Identity(), &sum);
  return sum;
}

double SumOfSquaredDeviations(const double* a, size_t n, double mean) {
  double sum;
  NumPySum<1>(a, n, SquaredDeviation{mean}, &sum);
  return sum;
}

CentralSums SumOfCentralPowers(const double* a, size_t n, double mean) {
  double sums[3];
  NumPySum<3>(a, n, CentralPowers{mean}, sums);
  return {sums[0], sums[1], sums[2]};
}

Range RangeOfValues(const double* a, size_t n) {
  Range range = {a[0], a[0]};
  const Wide d;
  size_t k = 0;
  if (n >= 4 * kLanes) {
    V low[4], high[4];  // four of each: the next need not wait for the last
    for (size_t q = 0; q < 4; ++q) low[q] = high[q] = hn::LoadU(d, a + q * kLanes);
    for (k = 4 * kLanes; k + 4 * kLanes <= n; k += 4 * kLanes) {
      for (size_t q = 0; q < 4; ++q) {
        const V x = hn::LoadU(d, a + k + q * kLanes);
        low[q] = hn::Min(low[q], x);
        high[q] = hn::Max(high[q], x);
      }
    }
    const V min = hn::Min(hn::Min(low[0], low[1]), hn::Min(low[2], low[3]));
    const V max = hn::Max(hn::Max(high[0], high[1]), hn::Max(high[2], high[3]));
    range = {hn::GetLane(hn::MinOfLanes(d, min)), hn::GetLane(hn::MaxOfLanes(d, max))};
  }
  for (; k < n; ++k) {
    range.min = std::min(range.min, a[k]);
    range.max = std::max(range.max, a[k]);
  }
  return range;
}

// The lanes of a FrameSums while they are in registers.
struct Totals {
  V energy[kParts], sum[kParts], square[kParts], largest[kParts];

  explicit Totals(const FrameSums& from) {
    for (size_t q = 0; q < kParts; ++q) {
      energy[q] = hn::LoadU(Wide(), from.energy + q * kLanes);
      sum[q] = hn::LoadU(Wide(), from.group_sum + q * kLanes);
      square[q] = hn::LoadU(Wide(), from.group_square + q * kLanes);
      largest[q] = hn::LoadU(Wide(), from.largest + q * kLanes);
    }
  }

  void StoreTo(FrameSums* to) const {
    for (size_t q = 0; q < kParts; ++q) {
      hn::StoreU(energy[q], Wide(), to->energy + q * kLanes);
      hn::StoreU(sum[q], Wide(), to->group_sum + q * kLanes);
      hn::StoreU(square[q], Wide(), to->group_square + q * kLanes);
      hn::StoreU(largest[q], Wide(), to->largest + q * kLanes);
    }
  }
};

// As doubles, whatever they are in memory.
HWY_INLINE V LoadWide(const double* a) { return hn::LoadU(Wide(), a); }
HWY_INLINE V LoadWide(const float* a) {
  return hn::PromoteTo(Wide(), hn::LoadU(hn::Rebind<float, Wide>(), a));
}

enum class Changes { kNone, kSummed, kKept };

// Returns the pairwise sum of the changes.
template <Changes kChanges, typename T>
HWY_INLINE double AddBlock(const T* before, const T* after, double* change, Totals* totals) {
  const Wide d;
  const V scale = hn::Set(d, 1000.0);
  V energy[kParts], sum[kParts];
  for (size_t q = 0; q < kParts; ++q) energy[q] = sum[q] = hn::Zero(d);
  for (size_t k = 0; k < kSumLeaf; k += 8) {
    for (size_t q = 0; q < kParts; ++q) {
      const size_t at = k + q * kLanes;
      const V h = hn::Mul(LoadWide(after + at), scale);
      energy[q] = hn::Add(energy[q], hn::Mul(h, h));
      if constexpr (kChanges != Changes::kNone) {
        const V moved = hn::Abs(hn::Sub(h, hn::Mul(LoadWide(before + at), scale)));
        sum[q] = hn::Add(sum[q], moved);
        totals->largest[q] = hn::Max(totals->largest[q], moved);
        if constexpr (kChanges == Changes::kKept) hn::StoreU(moved, d, change + at);
      }
    }
  }
  for (size_t q = 0; q < kParts; ++q) {
    totals->energy[q] = hn::Add(totals->energy[q], energy[q]);
    totals->sum[q] = hn::Add(totals->sum[q], sum[q]);
    totals->square[q] = hn::Add(totals->square[q], hn::Mul(sum[q], sum[q]));
  }
  return TreeOf(sum);
}

template <Changes kChanges, typename T>
void AddBlocksOf(const T* before, const T* after, size_t blocks, double* change, double* leaf_sums,
                 FrameSums* sums) {
  Totals totals(*sums);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t at = b * kSumLeaf;
    const double sum = AddBlock<kChanges>(
        before + at, after + at, kChanges == Changes::kKept ? change + at : nullptr, &totals);
    if (kChanges != Changes::kNone) leaf_sums[b] = sum;
  }
  totals.StoreTo(sums);
}

template <typename T>
void AddBlocks(const T* before, const T* after, size_t blocks, double* change, double* leaf_sums,
               FrameSums* sums) {
  if (before == nullptr) {
    AddBlocksOf<Changes::kNone>(after, after, blocks, nullptr, leaf_sums, sums);
  } else if (change == nullptr) {
    AddBlocksOf<Changes::kSummed>(before, after, blocks, nullptr, leaf_sums, sums);
  } else {
    AddBlocksOf<Changes::kKept>(before, after, blocks, change, leaf_sums, sums);
  }
}

void AddBlocksOfDoubles(const double* before, const double* after, size_t blocks, double* change,
                        double* leaf_sums, FrameSums* sums) {
  AddBlocks(before, after, blocks, change, leaf_sums, sums);
}
void AddBlocksOfFloats(const float* before, const float* after, size_t blocks, double* change,
                       double* leaf_sums, FrameSums* sums) {
  AddBlocks(before, after, blocks, change, leaf_sums, sums);
}

void BitsOfAbove(const double* a, size_t n, double threshold, uint64_t* words) {
  const Wide d;
  const V limit = hn::Set(d, threshold);
  size_t k = 0;
  for (; k + 64 <= n; k += 64) {
    uint64_t word = 0;
    for (size_t j = 0; j < 64; j += kLanes) {
      uint8_t bits[8] = {};
      hn::StoreMaskBits(d, hn::Gt(hn::LoadU(d, a + k + j), limit), bits);
      word |= static_cast<uint64_t>(bits[0]) << j;
    }
    words[k / 64] = word;
  }
  if (k == n) return;
  words[k / 64] = 0;
  for (; k < n; ++k) words[k / 64] |= static_cast<uint64_t>(a[k] > threshold ? 1 : 0) << (k % 64);
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(SumOfValues);
HWY_EXPORT(SumOfSquaredDeviations);
HWY_EXPORT(SumOfCentralPowers);
HWY_EXPORT(RangeOfValues);
HWY_EXPORT(AddBlocksOfDoubles);
HWY_EXPORT(AddBlocksOfFloats);
HWY_EXPORT(BitsOfAbove);

double SumVectors(const double* a, size_t n) { return HWY_DYNAMIC_DISPATCH(SumOfValues)(a, n); }

double SumSquaredDeviations(const double* a, size_t n, double mean) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquaredDeviations)(a, n, mean);
}

CentralSums SumCentralPowers(const double* a, size_t n, double mean) {
  return HWY_DYNAMIC_DISPATCH(SumOfCentralPowers)(a, n, mean);
}

Range RangeOf(const double* a, size_t n) { return HWY_DYNAMIC_DISPATCH(RangeOfValues)(a, n); }

void AddFrameBlocks(const double* before, const double* after, size_t blocks, double* change,
                    double* leaf_sums, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(AddBlocksOfDoubles)(before, after, blocks, change, leaf_sums, sums);
}

void AddFrameBlocks(const float* before, const float* after, size_t blocks, double* change,
                    double* leaf_sums, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(AddBlocksOfFloats)(before, after, blocks, change, leaf_sums, sums);
}

void BitsAbove(const double* a, size_t n, double threshold, uint64_t* words) {
  HWY_DYNAMIC_DISPATCH(BitsOfAbove)(a, n, threshold, words);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
