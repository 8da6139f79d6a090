// The form of the step kernel that gathers for features what it has in registers (kernel_simd.h,
// StepGridTapped). Included once for each instruction set.

#if defined(MFN_SERVER_ENGINE_KERNEL_TAP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MFN_SERVER_ENGINE_KERNEL_TAP_INL_H_
#undef MFN_SERVER_ENGINE_KERNEL_TAP_INL_H_
#else
#define MFN_SERVER_ENGINE_KERNEL_TAP_INL_H_
#endif

#include "hwy/highway.h"
#include "server/engine/kernel_simd.h"
#include "server/engine/kernel_step-inl.h"
#include "server/engine/kinetics-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the partial sums of some leaves, one in each lane, are kept: eight vectors each.
struct TapSums {
  double* energies;
  double* changes;
};

// One of the eight partial sums of two rows' leaves.
template <class D>
struct PartTap {
  using V = hn::Vec<D>;
  V energy[2], change[2];

  HWY_INLINE void Begin(size_t r) { energy[r] = change[r] = hn::Zero(D()); }

  HWY_INLINE void Load(size_t r, const TapSums& from, size_t part) {
    energy[r] = hn::Load(D(), from.energies + part * hn::Lanes(D()));
    change[r] = hn::Load(D(), from.changes + part * hn::Lanes(D()));
  }

  HWY_INLINE void Store(size_t r, const TapSums& to, size_t part) const {
    hn::Store(energy[r], D(), to.energies + part * hn::Lanes(D()));
    hn::Store(change[r], D(), to.changes + part * hn::Lanes(D()));
  }

  // What a vector of row r was, and what it has become.
  HWY_INLINE void Add(size_t r, V before, V after) {
    const auto scale = hn::Set(D(), 1000.0);
    const auto h = hn::Mul(after, scale);
    energy[r] = hn::Add(energy[r], hn::Mul(h, h));
    change[r] = hn::Add(change[r], hn::Abs(hn::Sub(h, hn::Mul(before, scale))));
  }
};

// A row of `width` cells, every eighth column beside each other, that goes on after `from`.
template <class D>
void TapRow(D d, size_t width, const double* before, const double* after, const TapSums& from,
            const TapSums& to) {
  for (size_t part = 0; part < 8; ++part) {
    PartTap<D> sum;
    sum.Load(0, from, part);
    for (size_t j = part * width / 8; j < (part + 1) * width / 8; j += hn::Lanes(d)) {
      sum.Add(0, hn::Load(d, before + j), hn::Load(d, after + j));
    }
    sum.Store(0, to, part);
  }
}

// The tap of a whole grid, and what is under way.
template <class D>
struct GridTap {
  static constexpr size_t kVectors = 8 * hn::MaxLanes(D());

  GridTap(const RowBlock<double>& block, double* tap)
      : rows_of_leaf(kSumLeaf * hn::Lanes(D()) / block.width), out(tap) {
    for (double* sums : {nothing, nothing + kVectors}) {
      for (size_t k = 0; k < kVectors; ++k) sums[k] = 0.0;
    }
  }

  // The leaves that `row` is part of.
  double* Unit(size_t row) const {
    return out + row / rows_of_leaf * (kTapVectors * hn::Lanes(D()));
  }
  TapSums Nothing() { return {nothing, nothing + kVectors}; }
  TapSums Carried() { return {carried, carried + kVectors}; }
  TapSums Unheard() { return {unheard, unheard + kVectors}; }
  // Where the sums of a row go with which its leaf ends.
  TapSums Last(size_t row, size_t which) { return {energies[which], Unit(row)}; }

  // After that.
  HWY_INLINE void End(size_t row, size_t which) const {
    const D d;
    const size_t lanes = hn::Lanes(d);
    hn::Vec<D> r[8];
    for (size_t q = 0; q < 8; ++q) r[q] = hn::Load(d, energies[which] + q * lanes);
    const auto low = hn::Add(hn::Add(r[0], r[1]), hn::Add(r[2], r[3]));
    const auto high = hn::Add(hn::Add(r[4], r[5]), hn::Add(r[6], r[7]));
    hn::Store(hn::Add(low, high), d, Unit(row) + 8 * lanes);
  }

  const size_t rows_of_leaf;
  double* const out;
  HWY_ALIGN double nothing[2 * kVectors];
  HWY_ALIGN double carried[2 * kVectors];  // of a leaf's first row
  HWY_ALIGN double unheard[2 * kVectors];
  HWY_ALIGN double energies[2][kVectors];
};

// All of a grid's tap, from its old and its new field.
template <class D>
void TapGrid(D d, const RowBlock<double>& block, double* out) {
  GridTap<D> tap(block, out);
  for (size_t row = 0; row < block.rows; ++row) {
    const bool begins = row % tap.rows_of_leaf == 0;
    const bool ends = (row + 1) % tap.rows_of_leaf == 0;
    TapRow(d, block.width, block.field[row + 1], block.next_field[row],
           begins ? tap.Nothing() : tap.Carried(), ends ? tap.Last(row, 0) : tap.Carried());
    if (ends) tap.End(row, 0);
  }
}

// Two rows by eighths; the sums of the first one go on after `from`. Only the first and the last
// eighth of the columns have neighbours that are not an eighth away.
template <bool kWatch, Turn kTurn, Side kSide, class D>
HWY_INLINE void StepTwoTapped(D d, const Work<D, MfnKinetics>& work, Cursor<double, 2> at,
                              const TapSums& from, const TapSums& to0, const TapSums& to1,
                              Seen<D>* seen) {
  Work<D, MfnKinetics> w = work;  // in registers, whatever is written through pointers
  const ptrdiff_t lanes = static_cast<ptrdiff_t>(hn::Lanes(d));
  const ptrdiff_t width = static_cast<ptrdiff_t>(w.block.width);
  const ptrdiff_t eighth = width / 8;
  Seen<D> inner = *seen;
  for (size_t part = 0; part < 8; ++part) {
    PartTap<D> tap;
    tap.Load(0, from, part);
    tap.Begin(1);
    if (part == 0 || part == 7) {
      for (ptrdiff_t j = 0; j < eighth; j += lanes) {
        const ptrdiff_t before = width - lanes - (j == 0 ? 0 : eighth);
        const ptrdiff_t after = width - lanes - (j + lanes == eighth ? 0 : eighth);
        w.side = part == 0 ? AnySide{before, eighth} : AnySide{-eighth, -after};
        StepVector<MfnKinetics, kWatch, false, false, kTurn, Side::kAny, 2>(d, w, at, &tap, &inner);
        at.Advance(lanes);
      }
    } else {
      w.side = {-eighth, eighth};
      for (ptrdiff_t j = 0; j < eighth; j += lanes) {
        StepVector<MfnKinetics, kWatch, false, false, kTurn, kSide, 2>(d, w, at, &tap, &inner);
        at.Advance(lanes);
      }
    }
    tap.Store(0, to0, part);
    tap.Store(1, to1, part);
  }
  *seen = inner;
}

// The grid's last row with its first one, then the second with the third and so on: where a leaf is
// two rows, its second comes after its first. Only the last row then has to be listened to later.
template <bool kWatch, Side kSide, class D>
bool StepTapped(D d, const KernelParams& p, const RowBlock<double>& block, Reach* reach,
                double* out) {
  const Work<D, MfnKinetics> work = MakeWork<MfnKinetics>(d, p, block);
  Seen<D> seen = NothingSeen(d);
  GridTap<D> tap(block, out);
  const bool one_row = tap.rows_of_leaf == 1;
  const size_t last = block.rows - 1;
  const auto end = [&](size_t row, size_t which) {
    if (one_row || row % 2 == 1) tap.End(row, which);
  };
  const auto& old = block.field;
  const auto& next = block.next_field;
  StepTwoTapped<kWatch, Turn::kBetween, kSide>(
      d, work, {{old[last], old[last + 1], old[1], old[2]}, {next[last], next[0]}}, tap.Nothing(),
      one_row ? tap.Last(last, 0) : tap.Unheard(), one_row ? tap.Last(0, 1) : tap.Carried(), &seen);
  if (one_row) {
    tap.End(last, 0);
    tap.End(0, 1);
  }
  for (size_t row = 1; row < last; row += 2) {
    StepTwoTapped<kWatch, Turn::kNone, kSide>(
        d, work, {{old[row], old[row + 1], old[row + 2], old[row + 3]}, {next[row], next[row + 1]}},
        one_row ? tap.Nothing() : tap.Carried(), tap.Last(row, 0),
        one_row ? tap.Last(row + 1, 1) : tap.Carried(), &seen);
    end(row, 0);
    end(row + 1, 1);
  }
  if (!one_row) {
    TapRow(d, block.width, old[last + 1], next[last], tap.Carried(), tap.Last(last, 0));
    tap.End(last, 0);
  }
  if constexpr (kWatch) Widen<MfnKinetics>(d, seen, reach);
  return AllInside<MfnKinetics, kWatch>(d, p, seen);
}

template <bool kWatch, class D>
bool StepTapped(D d, const KernelParams& p, const RowBlock<double>& block, Reach* reach,
                double* tap) {
  if constexpr (kWatch) {
    return StepTapped<kWatch, Side::kAny>(d, p, block, reach, tap);
  } else {
    return block.width == kSumLeaf * hn::Lanes(d)
               ? StepTapped<kWatch, Side::kSixteenBefore>(d, p, block, reach, tap)
               : StepTapped<kWatch, Side::kEightBefore>(d, p, block, reach, tap);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#endif  // MFN_SERVER_ENGINE_KERNEL_TAP_INL_H_
