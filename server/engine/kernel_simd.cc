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
#include <type_traits>
#include <variant>

#include "hwy/highway.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/kernel_step-inl.h"
#include "server/engine/kernel_tap-inl.h"
#include "server/engine/kinetics-inl.h"
#include "server/engine/lanes_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {

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
  NoTap tap;
  const ptrdiff_t begin = kParts ? part.begin : 0;
  const ptrdiff_t end = kParts ? part.end : width;
  Cursor<hn::TFromD<D>, kRows> at;
  for (size_t r = 0; r < kRows + 2; ++r) at.from[r] = w.block.field[row + r] + begin;
  for (size_t r = 0; r < kRows; ++r) at.to[r] = w.block.next_field[row + r] + begin;
  if (width == lanes) {
    return StepVector<Kinetics, kWatch, true, true, kTurn, kSide, kRows>(d, w, at, &tap, seen);
  }
  ptrdiff_t j = begin;
  if (begin == 0) {
    const ptrdiff_t aside = kParts ? part.first_aside : 0;
    StepVector<Kinetics, kWatch, true, false, kTurn, kSide, kRows>(d, w, at.To(aside), &tap, seen);
    at.Advance(lanes);
    j = lanes;
  }
  Seen<D> inner = *seen;  // in registers
  for (; j + lanes < end; j += lanes) {
    StepVector<Kinetics, kWatch, false, false, kTurn, kSide, kRows>(d, w, at, &tap, &inner);
    at.Advance(lanes);
  }
  *seen = inner;
  at.Advance(end - lanes - j);
  if (end == width) {
    return StepVector<Kinetics, kWatch, false, true, kTurn, kSide, kRows>(d, w, at, &tap, seen);
  }
  at = at.To(part.last_aside);
  StepVector<Kinetics, kWatch, false, false, kTurn, kSide, kRows>(d, w, at, &tap, seen);
}

template <class Kinetics, bool kWatch, Side kSide, bool kParts, class D>
HWY_INLINE void StepAllRows(D d, const Work<D, Kinetics>& work, const Part& part, Seen<D>* seen) {
  const auto& block = work.block;
  size_t row = 0;
  size_t end = block.rows;
  if constexpr (Kinetics::kBands && kSide != Side::kCellBefore && !kParts) {
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
  StepSomeRows<Kinetics, kWatch, Turn::kNone, Side::kAny, true, 1>(d, work, at, part, seen);
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
  if (part.end == width || block.order == CellOrder::kBands || kSide == Side::kAny) {
    return StepAllRows<Kinetics, kWatch, kSide, false>(d, work, {0, width}, seen);
  }
  if constexpr (kSide != Side::kAny) {
    part.first_aside = block.aside;
    for (ptrdiff_t k = 1; part.begin < width; ++k, Next<T>(width, &part)) {
      if (block.aside != 0) part.last_aside = block.aside + (k + 1) * lanes - part.end;
      StepAllRows<Kinetics, kWatch, kSide, true>(d, work, part, seen);
    }
    if (block.aside != 0) PutBack<Kinetics>(d, block);
  }
}

// What is worth a form of its own, which takes long to compile: the reference's chemistry while
// nothing needs to be looked at.
template <class Kinetics, bool kWatch, class D>
constexpr bool kHasSides =
    std::is_same_v<Kinetics, MfnKinetics> && !kWatch && hn::MaxLanes(D()) > 1;

template <class Kinetics, bool kWatch, class D>
bool StepBlock(D d, const KernelParams& p, const RowBlock<hn::TFromD<D>>& block, Reach* reach) {
  const Work<D, Kinetics> work = MakeWork<Kinetics>(d, p, block);
  Seen<D> seen = NothingSeen(d);
  if (!kHasSides<Kinetics, kWatch, D> || work.side.one > 0) {
    StepAllParts<Kinetics, kWatch, Side::kAny>(d, work, &seen);
  } else if constexpr (kHasSides<Kinetics, kWatch, D>) {
    if (block.order == CellOrder::kColumns) {
      StepAllParts<Kinetics, kWatch, Side::kCellBefore>(d, work, &seen);
    } else {
      StepAllParts<Kinetics, kWatch, Side::kVectorBefore>(d, work, &seen);
    }
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
bool StepDoubleTapped(const KernelParams& p, const RowBlock<double>& block, Reach* seen,
                      double* tap) {
  const hn::ScalableTag<double> d;
  if constexpr (hn::MaxLanes(d) > 1) {
    return seen != nullptr ? StepTapped<true>(d, p, block, seen, tap)
                           : StepTapped<false>(d, p, block, nullptr, tap);
  }
  return false;  // there are no bands of one lane
}
void TapAnew(const RowBlock<double>& block, double* tap) {
  TapGrid(hn::ScalableTag<double>(), block, tap);
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(StepDouble);
HWY_EXPORT(StepFloat);
HWY_EXPORT(StepDoubleTapped);
HWY_EXPORT(TapAnew);

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

bool StepGridTapped(const KernelParams& params, const RowBlock<double>& block, Reach* seen,
                    double* tap) {
  return HWY_DYNAMIC_DISPATCH(StepDoubleTapped)(params, block, seen, tap);
}

void TapSettled(const RowBlock<double>& block, double* tap) {
  HWY_DYNAMIC_DISPATCH(TapAnew)(block, tap);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
