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

// As doubles, whatever they are in memory.
HWY_INLINE V LoadWide(const double* a) { return hn::LoadU(Wide(), a); }
HWY_INLINE V LoadWide(const float* a) {
  return hn::PromoteTo(Wide(), hn::LoadU(hn::Rebind<float, Wide>(), a));
}

enum class Changes { kNone, kSummed, kSquared, kKept, kKeptAndSquared };
constexpr bool AreSquared(Changes c) {
  return c == Changes::kSquared || c == Changes::kKeptAndSquared;
}
constexpr bool AreKept(Changes c) { return c == Changes::kKept || c == Changes::kKeptAndSquared; }

// kVectors vectors, each `pitch` values after the last, of leaves: vector by vector they go to
// kVectors sums. `groups` times, one behind the other at a distance of `stride`.
template <size_t kVectors>
struct Sums {
  V energy[kVectors], change[kVectors];
  V square;  // of each change, if they are squared
};

template <Changes kChanges, size_t kVectors, typename T>
HWY_INLINE Sums<kVectors> AddGroups(const T* before, const T* after, size_t pitch, size_t stride,
                                    double* change) {
  const Wide d;
  const V scale = hn::Set(d, 1000.0);
  Sums<kVectors> sums;
  for (size_t q = 0; q < kVectors; ++q) sums.energy[q] = sums.change[q] = hn::Zero(d);
  sums.square = hn::Zero(d);
  for (size_t group = 0; group < kSumLeaf / 8; ++group) {
    for (size_t q = 0; q < kVectors; ++q) {
      const size_t at = group * stride + q * pitch;
      const V h = hn::Mul(LoadWide(after + at), scale);
      sums.energy[q] = hn::Add(sums.energy[q], hn::Mul(h, h));
      if constexpr (kChanges != Changes::kNone) {
        const V moved = hn::Abs(hn::Sub(h, hn::Mul(LoadWide(before + at), scale)));
        sums.change[q] = hn::Add(sums.change[q], moved);
        if constexpr (AreSquared(kChanges)) {
          sums.square = hn::Add(sums.square, hn::Mul(moved, moved));
        }
        if constexpr (AreKept(kChanges)) hn::StoreU(moved, d, change + at);
      }
    }
  }
  return sums;
}

// The largest change of the same vectors.
template <size_t kVectors, typename T>
HWY_NOINLINE double LargestOfGroups(const T* before, const T* after, size_t pitch, size_t stride) {
  const Wide d;
  const V scale = hn::Set(d, 1000.0);
  V largest = hn::Zero(d);
  for (size_t group = 0; group < kSumLeaf / 8; ++group) {
    for (size_t q = 0; q < kVectors; ++q) {
      const size_t at = group * stride + q * pitch;
      const V h = hn::Mul(LoadWide(after + at), scale);
      largest = hn::Max(largest, hn::Abs(hn::Sub(h, hn::Mul(LoadWide(before + at), scale))));
    }
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// The largest change of n values, a number of vectors.
HWY_NOINLINE double LargestOf(const double* before, const double* after, size_t n) {
  const Wide d;
  const V scale = hn::Set(d, 1000.0);
  V largest = hn::Zero(d);
  for (size_t k = 0; k < n; k += kLanes) {
    const V h = hn::Mul(LoadWide(after + k), scale);
    largest = hn::Max(largest, hn::Abs(hn::Sub(h, hn::Mul(LoadWide(before + k), scale))));
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// A FrameSums while it is in registers.
struct Totals {
  V sum, square;
  V largest;  // in every lane

  explicit Totals(const FrameSums& from)
      : sum(hn::Zero(Wide())), square(hn::Zero(Wide())), largest(hn::Set(Wide(), from.largest)) {}

  // All but the largest change.
  template <bool kPerCell, size_t kVectors>
  HWY_INLINE void Take(const Sums<kVectors>& sums) {
    for (size_t q = 0; q < kVectors; ++q) {
      sum = hn::Add(sum, sums.change[q]);
      if constexpr (!kPerCell) {
        square = hn::Add(square, hn::Mul(sums.change[q], sums.change[q]));
      }
    }
    if constexpr (kPerCell) square = hn::Add(square, sums.square);
  }

  // The largest change of a leaf by eighths, of so many vectors each.
  HWY_INLINE void LookAt(const Sums<8>& sums, const double* before, const double* after,
                         size_t eighth) {
    const Wide d;
    for (size_t q = 0; q < 8; ++q) {
      if (HWY_LIKELY(hn::AllTrue(d, hn::Le(sums.change[q], largest)))) continue;
      for (size_t at = q * eighth; at < kSumLeaf; at += 8 * eighth) {
        const double here = LargestOf(before + at * kLanes, after + at * kLanes, eighth * kLanes);
        largest = hn::Max(largest, hn::Set(d, here));
      }
    }
  }

  // No change is larger than the sum that it went into, and sums are seldom larger than what was
  // seen before.
  template <bool kPerCell, size_t kVectors, typename T>
  HWY_INLINE void Add(const Sums<kVectors>& sums, const T* before, const T* after, size_t pitch,
                      size_t stride) {
    const Wide d;
    V most = sums.change[0];
    for (size_t q = 0; q < kVectors; ++q) {
      sum = hn::Add(sum, sums.change[q]);
      if constexpr (!kPerCell) {
        square = hn::Add(square, hn::Mul(sums.change[q], sums.change[q]));
      }
      most = hn::Max(most, sums.change[q]);
    }
    if constexpr (kPerCell) square = hn::Add(square, sums.square);
    if (HWY_LIKELY(hn::AllTrue(d, hn::Le(most, largest)))) return;
    const double here = LargestOfGroups<kVectors>(before, after, pitch, stride);
    largest = hn::Max(largest, hn::Set(d, here));
  }

  void AddTo(FrameSums* to) const {
    const Wide d;
    to->largest = hn::GetLane(largest);
    hn::StoreU(hn::Add(hn::LoadU(d, to->group_sum), sum), d, to->group_sum);
    hn::StoreU(hn::Add(hn::LoadU(d, to->group_square), square), d, to->group_square);
  }
};

template <Changes kChanges, typename T>
void AddLeavesOf(const T* before, const T* after, size_t leaves, double* change, const LeafSums& to,
                 FrameSums* frame) {
  Totals totals(*frame);
  for (size_t b = 0; b < leaves; ++b) {
    const size_t at = b * kSumLeaf;
    const auto sums = AddGroups<kChanges, kParts>(before + at, after + at, kLanes, 8,
                                                  AreKept(kChanges) ? change + at : nullptr);
    to.energies[b] = TreeOf(sums.energy);
    if constexpr (kChanges != Changes::kNone) {
      to.changes[b] = TreeOf(sums.change);
      totals.Add<AreSquared(kChanges)>(sums, before + at, after + at, kLanes, 8);
    }
  }
  totals.AddTo(frame);
}

template <typename T>
void AddLeaves(const T* before, const T* after, size_t leaves, double* change, const LeafSums& to,
               FrameSums* frame) {
  if (before == nullptr) {
    AddLeavesOf<Changes::kNone>(after, after, leaves, nullptr, to, frame);
  } else if (change == nullptr) {
    frame->per_cell ? AddLeavesOf<Changes::kSquared>(before, after, leaves, nullptr, to, frame)
                    : AddLeavesOf<Changes::kSummed>(before, after, leaves, nullptr, to, frame);
  } else {
    frame->per_cell
        ? AddLeavesOf<Changes::kKeptAndSquared>(before, after, leaves, change, to, frame)
        : AddLeavesOf<Changes::kKept>(before, after, leaves, change, to, frame);
  }
}

HWY_INLINE V HalfTree(const V* r) { return hn::Add(hn::Add(r[0], r[1]), hn::Add(r[2], r[3])); }

// As many leaves at once as a vector has lanes, whose eight partial sums are eight vectors: four at
// a time, for instruction sets with few registers.
template <Changes kChanges, typename T>
void AddByLanesOf(const T* before, const T* after, size_t lanes, size_t leaves, size_t lane_leaves,
                  const LeafSums& to, FrameSums* frame) {
  const Wide d;
  HWY_ALIGN double values[kLanes];
  Totals totals(*frame);
  for (size_t leaf = 0; leaf < leaves; ++leaf) {
    for (size_t part = 0; part < lanes; part += kLanes) {
      const size_t first = leaf * kSumLeaf * lanes + part;
      const auto half = [&](size_t at) {
        const auto sums =
            AddGroups<kChanges, 4>(before + at, after + at, lanes, 8 * lanes, nullptr);
        if constexpr (kChanges != Changes::kNone) {
          totals.Add<AreSquared(kChanges)>(sums, before + at, after + at, lanes, 8 * lanes);
        }
        return Sums<1>{{HalfTree(sums.energy)}, {HalfTree(sums.change)}, sums.square};
      };
      const Sums<1> low = half(first);
      const Sums<1> high = half(first + 4 * lanes);
      hn::Store(hn::Add(low.energy[0], high.energy[0]), d, values);
      for (size_t k = 0; k < kLanes; ++k) to.energies[(part + k) * lane_leaves + leaf] = values[k];
      if constexpr (kChanges == Changes::kNone) continue;
      hn::Store(hn::Add(low.change[0], high.change[0]), d, values);
      for (size_t k = 0; k < kLanes; ++k) to.changes[(part + k) * lane_leaves + leaf] = values[k];
    }
  }
  totals.AddTo(frame);
}

template <typename T>
void AddByLanes(const T* before, const T* after, size_t lanes, size_t leaves, size_t lane_leaves,
                const LeafSums& to, FrameSums* frame) {
  if (before == nullptr) {
    AddByLanesOf<Changes::kNone>(after, after, lanes, leaves, lane_leaves, to, frame);
  } else if (frame->per_cell) {
    AddByLanesOf<Changes::kSquared>(before, after, lanes, leaves, lane_leaves, to, frame);
  } else {
    AddByLanesOf<Changes::kSummed>(before, after, lanes, leaves, lane_leaves, to, frame);
  }
}

template <bool kPerCell>
void AddTappedOf(const double* tap, const double* before, const double* after, size_t lane_leaves,
                 size_t eighth, const LeafSums& to, FrameSums* frame) {
  const Wide d;
  HWY_ALIGN double values[kLanes];
  Totals totals(*frame);
  for (size_t leaf = 0; leaf < lane_leaves; ++leaf, tap += 9 * kLanes) {
    const size_t first = leaf * kSumLeaf * kLanes;
    Sums<8> sums;
    for (size_t q = 0; q < 8; ++q) sums.change[q] = hn::Load(d, tap + q * kLanes);
    if constexpr (kPerCell) {
      sums.square = AddGroups<Changes::kSquared, 8>(before + first, after + first, kLanes,
                                                    8 * kLanes, nullptr)
                        .square;
    }
    totals.Take<kPerCell>(sums);
    totals.LookAt(sums, before + first, after + first, eighth);
    hn::Store(hn::Add(HalfTree(sums.change), HalfTree(sums.change + 4)), d, values);
    for (size_t k = 0; k < kLanes; ++k) {
      to.changes[k * lane_leaves + leaf] = values[k];
      to.energies[k * lane_leaves + leaf] = tap[8 * kLanes + k];
    }
  }
  totals.AddTo(frame);
}

void AddTapped(const double* tap, const double* before, const double* after, size_t lane_leaves,
               size_t eighth, const LeafSums& to, FrameSums* frame) {
  frame->per_cell ? AddTappedOf<true>(tap, before, after, lane_leaves, eighth, to, frame)
                  : AddTappedOf<false>(tap, before, after, lane_leaves, eighth, to, frame);
}

void LeavesOfDoubles(const double* before, const double* after, size_t leaves, double* change,
                     const LeafSums& to, FrameSums* frame) {
  AddLeaves(before, after, leaves, change, to, frame);
}
void LeavesOfFloats(const float* before, const float* after, size_t leaves, double* change,
                    const LeafSums& to, FrameSums* frame) {
  AddLeaves(before, after, leaves, change, to, frame);
}
void DoublesByLanes(const double* before, const double* after, size_t lanes, size_t leaves,
                    size_t lane_leaves, const LeafSums& to, FrameSums* frame) {
  AddByLanes(before, after, lanes, leaves, lane_leaves, to, frame);
}
void FloatsByLanes(const float* before, const float* after, size_t lanes, size_t leaves,
                   size_t lane_leaves, const LeafSums& to, FrameSums* frame) {
  AddByLanes(before, after, lanes, leaves, lane_leaves, to, frame);
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
HWY_EXPORT(LeavesOfDoubles);
HWY_EXPORT(LeavesOfFloats);
HWY_EXPORT(DoublesByLanes);
HWY_EXPORT(FloatsByLanes);
HWY_EXPORT(AddTapped);
HWY_EXPORT(BitsOfAbove);

double SumVectors(const double* a, size_t n) { return HWY_DYNAMIC_DISPATCH(SumOfValues)(a, n); }

double SumSquaredDeviations(const double* a, size_t n, double mean) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquaredDeviations)(a, n, mean);
}

CentralSums SumCentralPowers(const double* a, size_t n, double mean) {
  return HWY_DYNAMIC_DISPATCH(SumOfCentralPowers)(a, n, mean);
}

Range RangeOf(const double* a, size_t n) { return HWY_DYNAMIC_DISPATCH(RangeOfValues)(a, n); }

void AddFrameLeaves(const double* before, const double* after, size_t leaves, double* change,
                    const LeafSums& to, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(LeavesOfDoubles)(before, after, leaves, change, to, sums);
}

void AddFrameLeaves(const float* before, const float* after, size_t leaves, double* change,
                    const LeafSums& to, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(LeavesOfFloats)(before, after, leaves, change, to, sums);
}

void AddFrameByLanes(const double* before, const double* after, size_t lanes, size_t leaves,
                     size_t lane_leaves, const LeafSums& to, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(DoublesByLanes)(before, after, lanes, leaves, lane_leaves, to, sums);
}

void AddFrameByLanes(const float* before, const float* after, size_t lanes, size_t leaves,
                     size_t lane_leaves, const LeafSums& to, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(FloatsByLanes)(before, after, lanes, leaves, lane_leaves, to, sums);
}

void AddTappedLeaves(const double* tap, const double* before, const double* after,
                     size_t lane_leaves, size_t eighth, const LeafSums& to, FrameSums* sums) {
  HWY_DYNAMIC_DISPATCH(AddTapped)(tap, before, after, lane_leaves, eighth, to, sums);
}

void BitsAbove(const double* a, size_t n, double threshold, uint64_t* words) {
  HWY_DYNAMIC_DISPATCH(BitsOfAbove)(a, n, threshold, words);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
