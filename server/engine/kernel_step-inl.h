// One vector of cells in the step kernel: its neighbours, diffusion and chemistry, what is looked
// at. Included once for each instruction set; kernel_simd.cc puts vectors together to rows.

#if defined(MFN_SERVER_ENGINE_KERNEL_STEP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MFN_SERVER_ENGINE_KERNEL_STEP_INL_H_
#undef MFN_SERVER_ENGINE_KERNEL_STEP_INL_H_
#else
#define MFN_SERVER_ENGINE_KERNEL_STEP_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <limits>

#include "hwy/highway.h"
#include "server/engine/kernel_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the neighbours of a vector in its row are, counted from its first cell: the same for every
// row of a block.
template <class D>
struct Neighbours {
  using T = hn::TFromD<D>;
  ptrdiff_t step;   // to the vector of right neighbours, but at the end of a row
  ptrdiff_t left;   // of the row's first vector: all but that of its first lane
  ptrdiff_t right;  // of the row's last vector: all but that of its last lane
  // What lies beyond the row's ends, from its first and from its last vector.
  ptrdiff_t before;
  ptrdiff_t after;
  hn::Vec<D> keep;  // all bits, or none if what lies beyond is zero
  // By bands: every lane from the one before or after it, the first and the last beside each other.
  hn::Vec<hn::RebindToSigned<D>> from_before, from_after;

  Neighbours(D d, const RowBlock<T>& block) {
    const ptrdiff_t lanes = static_cast<ptrdiff_t>(hn::Lanes(d));
    const ptrdiff_t width = static_cast<ptrdiff_t>(block.width);
    const bool wrap = block.ends == RowEnds::kWrap;
    step = block.order == CellOrder::kColumns ? 1 : lanes;
    if (block.order == CellOrder::kBands) {
      left = before = width - lanes;
    } else {
      left = block.order == CellOrder::kLanes ? width - lanes - 1 : -1;
      before = wrap ? width - 1 : block.ends == RowEnds::kMemory ? -1 : 0;
    }
    right = -left;
    after = lanes - 1 - before;
    const hn::RebindToSigned<D> whole;
    using Whole = hn::TFromD<decltype(whole)>;
    const auto last = hn::Set(whole, static_cast<Whole>(lanes - 1));
    keep = hn::BitCast(d, hn::Set(whole, block.ends == RowEnds::kZero ? Whole{0} : Whole{-1}));
    from_before = hn::And(hn::Iota(whole, static_cast<Whole>(lanes - 1)), last);
    from_after = hn::And(hn::Iota(whole, Whole{1}), last);
  }
};

// One vector's place in kRows rows of one field.
template <class D, size_t kRows>
struct Patch {
  hn::Vec<D> mid[kRows];
  hn::Vec<D> laplacian[kRows];
};

// One vector's place in some rows of the field, old and new.
template <typename T, size_t kRows>
struct Cursor {
  const T* from[kRows + 2];
  T* to[kRows];

  // The same, but for where it writes.
  HWY_INLINE Cursor To(ptrdiff_t cells) const {
    Cursor other = *this;
    for (T*& row : other.to) row += cells;
    return other;
  }

  HWY_INLINE void Advance(ptrdiff_t cells) {
    for (const T*& row : from) row += cells;
    for (T*& row : to) row += cells;
  }
};

// By bands, whether the row above or below is that of the band beside: its vectors are turned by a
// lane. Of the grid's last row and its first one, taken together, both are.
enum class Turn { kNone, kAbove, kBelow, kBetween };

// Where in memory the neighbours of a vector in its row are that are added first: at a distance
// that is known only at run time, or at one that the compiler knows, which makes for better code.
enum class Side { kAny, kCellBefore, kVectorBefore, kEightBefore, kSixteenBefore };

struct AnySide {
  ptrdiff_t one, other;
};

// Section 3.4. Up and down commute; left and right do not, and the Dirichlet branch of the
// reference adds right first: `side` is where the first of the two is. 4 * c is exact, so the fused
// form rounds as the separate one does.
template <bool kFirst, bool kLast, Turn kTurn, Side kSide, size_t kRows, class D,
          typename T = hn::TFromD<D>>
HWY_INLINE void Load(D d, const T* const* rows, ptrdiff_t array, const Neighbours<D>& beside,
                     const AnySide& any_side, Patch<D, kRows>* patch) {
  const ptrdiff_t lanes = static_cast<ptrdiff_t>(hn::Lanes(d));
  const ptrdiff_t side = kSide == Side::kAny            ? any_side.one
                         : kSide == Side::kCellBefore   ? -1
                         : kSide == Side::kVectorBefore ? -lanes
                         : kSide == Side::kEightBefore  ? -8 * lanes
                                                        : -16 * lanes;
  const ptrdiff_t other = kSide == Side::kAny ? any_side.other : -side;
  auto up = hn::LoadU(d, rows[0] + array);
  auto down = hn::LoadU(d, rows[kRows + 1] + array);
  if constexpr (kTurn == Turn::kAbove) {
    up = hn::TableLookupLanes(up, hn::IndicesFromVec(d, beside.from_before));
  }
  if constexpr (kTurn == Turn::kBelow) {
    down = hn::TableLookupLanes(down, hn::IndicesFromVec(d, beside.from_after));
  }
  for (size_t r = 0; r < kRows; ++r) patch->mid[r] = hn::LoadU(d, rows[r + 1] + array);
  for (size_t r = 0; r < kRows; ++r) {
    auto above = r == 0 ? up : patch->mid[r - 1];
    auto below = r + 1 == kRows ? down : patch->mid[r + 1];
    if constexpr (kTurn == Turn::kBetween) {
      if (r == 0) below = hn::TableLookupLanes(below, hn::IndicesFromVec(d, beside.from_after));
      if (r == 1) above = hn::TableLookupLanes(above, hn::IndicesFromVec(d, beside.from_before));
    }
    auto sum = hn::Add(above, below);
    const T* at = rows[r + 1] + array;
    if constexpr (kFirst || kLast) {
      auto left = hn::LoadU(d, at + (kFirst ? beside.left : -beside.step));
      auto right = hn::LoadU(d, at + (kLast ? beside.right : beside.step));
      if constexpr (kFirst) {
        const auto value = hn::And(beside.keep, hn::Set(d, at[beside.before]));
        left = hn::IfThenElse(hn::FirstN(d, 1), value, left);
      }
      if constexpr (kLast) {
        const auto value = hn::And(beside.keep, hn::Set(d, at[beside.after]));
        right = hn::IfThenElse(hn::FirstN(d, hn::Lanes(d) - 1), right, value);
      }
      sum = side < 0 ? hn::Add(hn::Add(sum, left), right) : hn::Add(hn::Add(sum, right), left);
    } else {
      sum = hn::Add(hn::Add(sum, hn::LoadU(d, at + side)), hn::LoadU(d, at + other));
    }
    patch->laplacian[r] = hn::NegMulAdd(hn::Set(d, static_cast<T>(4)), patch->mid[r], sum);
  }
}

// What a block saw of its new values: enough to know that nothing needs settling.
template <class D>
struct Seen {
  hn::Vec<D> field_min, field_max;
  hn::Vec<D> chemical_max;  // of both species if they are clamped, else of the activator
  // The sign of any chemical if they are clamped; else any bit for one that is not finite.
  hn::Vec<D> bits;
};

template <class D>
Seen<D> NothingSeen(D d) {
  using T = hn::TFromD<D>;
  const auto least = hn::Set(d, std::numeric_limits<T>::lowest());
  return {hn::Set(d, std::numeric_limits<T>::max()), least, least, hn::Zero(d)};
}

// Of clamped species a NaN may go unseen, but from finite parameters and a clamped state none can
// arise.
template <class Kinetics, bool kWatch, class D>
bool AllInside(D d, const KernelParams& p, const Seen<D>& seen) {
  using T = hn::TFromD<D>;
  if (kWatch && !p.quantum_jitter) {
    if (!hn::AllTrue(d, hn::Ge(seen.field_min, hn::Set(d, static_cast<T>(kFieldMinV))))) {
      return false;
    }
    if (!hn::AllTrue(d, hn::Le(seen.field_max, hn::Set(d, static_cast<T>(kFieldMaxV))))) {
      return false;
    }
  }
  if constexpr (Kinetics::kChemistry) {
    const hn::RebindToSigned<D> whole;
    const auto bits = hn::BitCast(whole, seen.bits);
    double most = p.turing_threshold;
    if constexpr (Kinetics::kClamped) {
      if (!hn::AllFalse(whole, hn::Lt(bits, hn::Zero(whole)))) return false;
      most = std::min(most, kChemicalMax);
    } else {
      if (!hn::AllTrue(whole, hn::Eq(bits, hn::Zero(whole)))) return false;
    }
    return !kWatch || hn::AllTrue(d, hn::Le(seen.chemical_max, hn::Set(d, static_cast<T>(most))));
  }
  return true;
}

template <class Kinetics, class D>
void Widen(D d, const Seen<D>& seen, Reach* reach) {
  const auto least = [](double a, double b) { return std::min(a, b); };
  const auto most = [](double a, double b) { return std::max(a, b); };
  reach->field_low = least(reach->field_low, hn::GetLane(hn::MinOfLanes(d, seen.field_min)));
  reach->field_high = most(reach->field_high, hn::GetLane(hn::MaxOfLanes(d, seen.field_max)));
  double high = std::numeric_limits<double>::infinity();
  if constexpr (Kinetics::kChemistry && Kinetics::kClamped) {
    high = hn::GetLane(hn::MaxOfLanes(d, seen.chemical_max));
  }
  reach->chemical_high = most(reach->chemical_high, high);
}

// A RowBlock, and what is the same for all its vectors.
template <class D, class Kinetics>
struct Work {
  using T = hn::TFromD<D>;
  const RowBlock<T>& block;
  ptrdiff_t activator, inhibitor, next_activator, next_inhibitor;
  Neighbours<D> beside;
  AnySide side;
  hn::Vec<D> alpha, d_activator, d_inhibitor;
  typename Kinetics::template Rates<D> rates;
};

template <class Kinetics, class D>
Work<D, Kinetics> MakeWork(D d, const KernelParams& p, const RowBlock<hn::TFromD<D>>& block) {
  using T = hn::TFromD<D>;
  const Neighbours<D> beside(d, block);
  return {block,
          block.activator,
          block.inhibitor,
          block.next_activator,
          block.next_inhibitor,
          beside,
          p.boundary == Boundary::kDirichlet ? AnySide{beside.step, -beside.step}
                                             : AnySide{-beside.step, beside.step},
          hn::Set(d, static_cast<T>(p.alpha)),
          hn::Set(d, static_cast<T>(p.d_activator)),
          hn::Set(d, static_cast<T>(p.d_inhibitor)),
          typename Kinetics::template Rates<D>(d, p)};
}

// Nobody listens.
struct NoTap {
  template <class V>
  HWY_INLINE void Add(size_t, V, V) const {}
};

// New values of one vector in kRows rows; a tap hears of those of the field.
template <class Kinetics, bool kWatch, bool kFirst, bool kLast, Turn kTurn, Side kSide,
          size_t kRows, class D, typename T, class Tap>
HWY_INLINE void StepVector(D d, const Work<D, Kinetics>& w, const Cursor<T, kRows>& at, Tap* tap,
                           Seen<D>* seen) {
  Patch<D, kRows> field;
  Load<kFirst, kLast, kTurn, kSide>(d, at.from, 0, w.beside, w.side, &field);
  for (size_t r = 0; r < kRows; ++r) {
    const auto v = hn::Add(field.mid[r], hn::Mul(w.alpha, field.laplacian[r]));
    if constexpr (kWatch) {
      seen->field_min = hn::Min(seen->field_min, v);
      seen->field_max = hn::Max(seen->field_max, v);
    }
    hn::StoreU(v, d, at.to[r]);
    tap->Add(r, field.mid[r], v);
  }
  if constexpr (Kinetics::kChemistry) {
    Patch<D, kRows> activator, inhibitor;
    Load<kFirst, kLast, kTurn, kSide>(d, at.from, w.activator, w.beside, w.side, &activator);
    Load<kFirst, kLast, kTurn, kSide>(d, at.from, w.inhibitor, w.beside, w.side, &inhibitor);
    for (size_t r = 0; r < kRows; ++r) {
      const auto old_a = activator.mid[r];
      const auto old_i = inhibitor.mid[r];
      const auto a = hn::Add(old_a, hn::Add(hn::Mul(w.d_activator, activator.laplacian[r]),
                                            w.rates.Activator(old_a, old_i)));
      const auto partner = Kinetics::kInhibitorSeesNewActivator ? a : old_a;
      const auto i = hn::Add(old_i, hn::Add(hn::Mul(w.d_inhibitor, inhibitor.laplacian[r]),
                                            w.rates.Inhibitor(partner, old_i)));
      if constexpr (Kinetics::kClamped) {
        seen->bits = hn::Or3(seen->bits, a, i);
        if constexpr (kWatch) seen->chemical_max = hn::Max(hn::Max(seen->chemical_max, a), i);
      } else {
        const auto both = hn::Add(a, i);  // the difference to itself is 0 if it is finite
        seen->bits = hn::Or(seen->bits, hn::Sub(both, both));
        seen->chemical_max = hn::Max(seen->chemical_max, a);
      }
      hn::StoreU(a, d, at.to[r] + w.next_activator);
      hn::StoreU(i, d, at.to[r] + w.next_inhibitor);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#endif  // MFN_SERVER_ENGINE_KERNEL_STEP_INL_H_
