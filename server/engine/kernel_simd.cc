// The step kernel in vectors, compiled once for each instruction set and chosen at run time
// (numeric model, sections 3.3 and 3.4; 4 for the variant).
//
// One fused pass: cells go through diffusion and chemistry while they are in registers, two rows at
// a time, which share loads. Every value is computed by the expression of the model in its order;
// vectors only place independent cells side by side, so that every instruction set gives the same
// bits. The chemistry is a template parameter (kinetics.h): there is one kernel for all of them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/kernel_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "hwy/highway.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/kinetics-inl.h"
#include "server/engine/lanes_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {

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
// lane.
enum class Turn { kNone, kAbove, kBelow };

// Where in memory the neighbours of a vector in its row are that are added first: at a distance
// that is known only at run time, or at one that the compiler knows, which makes for better code.
enum class Side { kAny, kCellBefore, kVectorBefore };

// Section 3.4. Up and down commute; left and right do not, and the Dirichlet branch of the
// reference adds right first: `side` is where the first of the two is. 4 * c is exact, so the fused
// form rounds as the separate one does.
template <bool kFirst, bool kLast, Turn kTurn, Side kSide, size_t kRows, class D,
          typename T = hn::TFromD<D>>
HWY_INLINE void Load(D d, const T* const* rows, ptrdiff_t array, const Neighbours<D>& beside,
                     ptrdiff_t any_side, Patch<D, kRows>* patch) {
  const ptrdiff_t side = kSide == Side::kAny          ? any_side
                         : kSide == Side::kCellBefore ? -1
                                                      : -static_cast<ptrdiff_t>(hn::Lanes(d));
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
    const auto above = r == 0 ? up : patch->mid[r - 1];
    const auto below = r + 1 == kRows ? down : patch->mid[r + 1];
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
      sum = hn::Add(hn::Add(sum, hn::LoadU(d, at + side)), hn::LoadU(d, at - side));
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
  ptrdiff_t side;
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
          p.boundary == Boundary::kDirichlet ? beside.step : -beside.step,
          hn::Set(d, static_cast<T>(p.alpha)),
          hn::Set(d, static_cast<T>(p.d_activator)),
          hn::Set(d, static_cast<T>(p.d_inhibitor)),
          typename Kinetics::template Rates<D>(d, p)};
}

// New values of one vector in kRows rows.
template <class Kinetics, bool kWatch, bool kFirst, bool kLast, Turn kTurn, Side kSide,
          size_t kRows, class D, typename T>
HWY_INLINE void StepVector(D d, const Work<D, Kinetics>& w, const Cursor<T, kRows>& at,
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

// Cells [begin, end) of some rows, and by how much their first and last vector are put aside.
struct Part {
  ptrdiff_t begin = 0, end = 0;
  ptrdiff_t first_aside = 0, last_aside = 0;
};

// The part of a row of `width` cells behind `part`; a rest shorter than a part goes with the last.
template <typename T>
void Next(ptrdiff_t width, Part* part) {
  constexpr ptrdiff_t kCells = kPartCells<T>;
  part->begin = part->end;
  part->end = part->begin + 2 * kCells > width ? width : part->begin + kCells;
}

// The last vector ends with the row and may overlap the one before it, which does no harm: it
// writes the same values once more.
template <class Kinetics, bool kWatch, Turn kTurn, Side kSide, bool kParts, size_t kRows, class D>
HWY_INLINE void StepSomeRows(D d, const Work<D, Kinetics>& work, size_t row, const Part& part,
                             Seen<D>* seen) {
  const Work<D, Kinetics> w = work;  // in registers, whatever is written through pointers
  const ptrdiff_t lanes = static_cast<ptrdiff_t>(hn::Lanes(d));
  const ptrdiff_t width = static_cast<ptrdiff_t>(w.block.width);
  const ptrdiff_t begin = kParts ? part.begin : 0;
  const ptrdiff_t end = kParts ? part.end : width;
  Cursor<hn::TFromD<D>, kRows> at;
  for (size_t r = 0; r < kRows + 2; ++r) at.from[r] = w.block.field[row + r] + begin;
  for (size_t r = 0; r < kRows; ++r) at.to[r] = w.block.next_field[row + r] + begin;
  if (width == lanes) {
    return StepVector<Kinetics, kWatch, true, true, kTurn, kSide, kRows>(d, w, at, seen);
  }
  ptrdiff_t j = begin;
  if (begin == 0) {
    const ptrdiff_t aside = kParts ? part.first_aside : 0;
    StepVector<Kinetics, kWatch, true, false, kTurn, kSide, kRows>(d, w, at.To(aside), seen);
    at.Advance(lanes);
    j = lanes;
  }
  Seen<D> inner = *seen;  // in registers
  for (; j + lanes < end; j += lanes) {
    StepVector<Kinetics, kWatch, false, false, kTurn, kSide, kRows>(d, w, at, &inner);
    at.Advance(lanes);
  }
  *seen = inner;
  at.Advance(end - lanes - j);
  if (end == width) {
    return StepVector<Kinetics, kWatch, false, true, kTurn, kSide, kRows>(d, w, at, seen);
  }
  at = at.To(part.last_aside);
  StepVector<Kinetics, kWatch, false, false, kTurn, kSide, kRows>(d, w, at, seen);
}

template <class Kinetics, bool kWatch, Side kSide, bool kParts, class D>
HWY_INLINE void StepAllRows(D d, const Work<D, Kinetics>& work, const Part& part, Seen<D>* seen) {
  const auto& block = work.block;
  size_t row = 0;
  size_t end = block.rows;
  if constexpr (Kinetics::kBands && kSide == Side::kVectorBefore && !kParts) {
    if (block.order == CellOrder::kBands && block.first) {
      StepSomeRows<Kinetics, kWatch, Turn::kAbove, kSide, false, 2>(d, work, 0, part, seen);
      row = 2;
    }
    if (block.order == CellOrder::kBands && block.last) {
      end -= 2;
      StepSomeRows<Kinetics, kWatch, Turn::kBelow, kSide, false, 2>(d, work, end, part, seen);
    }
  }
  for (size_t pair = 0; pair < (end - row) / 2; ++pair) {
    const size_t at = block.up ? end - 2 - 2 * pair : row + 2 * pair;
    StepSomeRows<Kinetics, kWatch, Turn::kNone, kSide, kParts, 2>(d, work, at, part, seen);
  }
  if ((end - row) % 2 == 0) return;
  const size_t at = block.up ? row : end - 1;
  StepSomeRows<Kinetics, kWatch, Turn::kNone, kSide, kParts, 1>(d, work, at, part, seen);
}

// The vectors that StepAllParts has put aside, to where they belong.
template <class Kinetics, class D, typename T>
HWY_NOINLINE void PutBack(D d, const RowBlock<T>& block) {
  const ptrdiff_t lanes = static_cast<ptrdiff_t>(hn::Lanes(d));
  const ptrdiff_t width = static_cast<ptrdiff_t>(block.width);
  const ptrdiff_t arrays[] = {0, block.next_activator, block.next_inhibitor};
  for (size_t row = 0; row < block.rows; ++row) {
    for (size_t k = 0; k < (Kinetics::kChemistry ? 3 : 1); ++k) {
      T* const cells = block.next_field[row] + arrays[k];
      const T* aside = cells + block.aside;
      hn::StoreU(hn::LoadU(d, aside), d, cells);
      Part part;
      for (Next<T>(width, &part); part.end < width; Next<T>(width, &part)) {
        aside += lanes;
        hn::StoreU(hn::LoadU(d, aside), d, cells + part.end - lanes);
      }
    }
  }
}

// A part of all rows after the other, so that what the next two rows need of the last two is still
// in the nearest cache. In place, the next part needs the old state of a part's last vector, and
// the last part that of the first's.
template <class Kinetics, bool kWatch, Side kSide, class D>
HWY_INLINE void StepAllParts(D d, const Work<D, Kinetics>& work, Seen<D>* seen) {
  using T = hn::TFromD<D>;
  const RowBlock<T>& block = work.block;
  const ptrdiff_t lanes = static_cast<ptrdiff_t>(hn::Lanes(d));
  const ptrdiff_t width = static_cast<ptrdiff_t>(block.width);
  Part part;
  Next<T>(width, &part);
  if (part.end == width || block.order == CellOrder::kBands) {
    return StepAllRows<Kinetics, kWatch, kSide, false>(d, work, part, seen);
  }
  part.first_aside = block.aside;
  for (ptrdiff_t k = 1; part.begin < width; ++k, Next<T>(width, &part)) {
    if (block.aside != 0) part.last_aside = block.aside + (k + 1) * lanes - part.end;
    StepAllRows<Kinetics, kWatch, kSide, true>(d, work, part, seen);
  }
  if (block.aside != 0) PutBack<Kinetics>(d, block);
}

template <class Kinetics, bool kWatch, class D>
bool StepBlock(D d, const KernelParams& p, const RowBlock<hn::TFromD<D>>& block, Reach* reach) {
  const Work<D, Kinetics> work = MakeWork<Kinetics>(d, p, block);
  Seen<D> seen = NothingSeen(d);
  if (!Kinetics::kBands || work.side > 0) {
    StepAllParts<Kinetics, kWatch, Side::kAny>(d, work, &seen);
  } else if (block.order == CellOrder::kColumns) {
    StepAllParts<Kinetics, kWatch, Side::kCellBefore>(d, work, &seen);
  } else {
    StepAllParts<Kinetics, kWatch, Side::kVectorBefore>(d, work, &seen);
  }
  if constexpr (kWatch) Widen<Kinetics>(d, seen, reach);
  return AllInside<Kinetics, kWatch>(d, p, seen);
}

template <class Kinetics, class D>
bool StepClamped(D d, const KernelParams& p, const RowBlock<hn::TFromD<D>>& block, Reach* reach) {
  return reach != nullptr ? StepBlock<Kinetics, true>(d, p, block, reach)
                          : StepBlock<Kinetics, false>(d, p, block, nullptr);
}

template <class D>
bool StepBlockOf(D d, const KernelParams& p, const RowBlock<hn::TFromD<D>>& block, Reach* reach) {
  if (!p.turing_enabled) return StepClamped<NoKinetics>(d, p, block, reach);
  if (std::holds_alternative<Mfn>(p.kinetics)) {
    return p.inhibitor_sees_new_activator ? StepClamped<MfnCompatKinetics>(d, p, block, reach)
                                          : StepClamped<MfnKinetics>(d, p, block, reach);
  }
  if (std::holds_alternative<GrayScott>(p.kinetics)) {
    return StepBlock<GrayScottKinetics, true>(d, p, block, reach);
  }
  if (std::holds_alternative<Schnakenberg>(p.kinetics)) {
    return StepBlock<SchnakenbergKinetics, true>(d, p, block, reach);
  }
  if (std::holds_alternative<GiererMeinhardt>(p.kinetics)) {
    return StepBlock<GiererMeinhardtKinetics, true>(d, p, block, reach);
  }
  if (std::holds_alternative<FitzHughNagumo>(p.kinetics)) {
    return StepBlock<FitzHughNagumoKinetics, true>(d, p, block, reach);
  }
  return StepBlock<BrusselatorKinetics, true>(d, p, block, reach);
}

// Rows narrower than a vector go to the instruction set that every processor has (below), which
// takes them cell by cell; so no other has to be compiled for them.
template <typename T>
bool StepBlockAny(const KernelParams& p, const RowBlock<T>& block, Reach* reach) {
  const hn::ScalableTag<T> widest;
#if HWY_TARGET == HWY_STATIC_TARGET
  if (block.width < hn::Lanes(widest)) return StepBlockOf(hn::CappedTag<T, 1>(), p, block, reach);
#endif
  return StepBlockOf(widest, p, block, reach);
}

bool StepDouble(const KernelParams& p, const RowBlock<double>& block, Reach* seen) {
  return StepBlockAny(p, block, seen);
}
bool StepFloat(const KernelParams& p, const RowBlock<float>& block, Reach* seen) {
  return StepBlockAny(p, block, seen);
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(StepDouble);
HWY_EXPORT(StepFloat);

bool StepRows(const KernelParams& params, const RowBlock<double>& block, Reach* seen) {
  if (block.width < VectorLanes(double()))
    return HWY_STATIC_DISPATCH(StepDouble)(params, block, seen);
  return HWY_DYNAMIC_DISPATCH(StepDouble)(params, block, seen);
}

bool StepRows(const KernelParams& params, const RowBlock<float>& block, Reach* seen) {
  if (block.width < VectorLanes(float()))
    return HWY_STATIC_DISPATCH(StepFloat)(params, block, seen);
  return HWY_DYNAMIC_DISPATCH(StepFloat)(params, block, seen);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
