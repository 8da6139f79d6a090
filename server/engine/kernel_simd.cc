// The step kernel in vectors, compiled once for each instruction set and chosen at run time
// (numeric model, sections 3.3 and 3.4; 4 for the variant).
//
// One fused pass: a row goes through diffusion, chemistry, threshold and clamps while it is in
// registers. Nearly always every new value lies inside all limits; then nothing has to be clamped
// or counted, and the pass only keeps the extremes it saw. A block of rows whose extremes touch a
// limit is done again by the counting variant, which is slower and right in every case. Both give
// the same bits, since every value is computed by the same expression: vectors only place
// independent cells side by side.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/kernel_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include <algorithm>
#include <array>
#include <cmath>

#include "hwy/highway.h"
#include "server/engine/kernel_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A row with its neighbours: above, below, and the values beyond its two ends.
struct Row {
  const double* mid;
  const double* up;
  const double* down;
  double before;
  double after;
};

inline Row RowOf(const double* field, size_t n, size_t i, Boundary boundary) {
  // The row beyond a Dirichlet grid. It covers every grid that the engine accepts.
  static constexpr std::array<double, kMaxGridSize> kZeroRow{};
  const double* mid = field + i * n;
  const bool first = i == 0;
  const bool last = i + 1 == n;
  const double* above = first ? nullptr : mid - n;
  const double* below = last ? nullptr : mid + n;
  switch (boundary) {
    case Boundary::kPeriodic:
      return {mid, first ? field + (n - 1) * n : above, last ? field : below, mid[n - 1], mid[0]};
    case Boundary::kNeumann:
      return {mid, first ? mid : above, last ? mid : below, mid[0], mid[n - 1]};
    case Boundary::kDirichlet:
      break;
  }
  return {mid, first ? kZeroRow.data() : above, last ? kZeroRow.data() : below, 0.0, 0.0};
}

// Where a vector stands in its row: at the ends a neighbour comes from beyond the row.
enum class Place { kInside, kFirst, kLast, kOnly };

template <class D>
struct Vectors {
  using V = hn::Vec<D>;
  using Indices = decltype(hn::IndicesFromVec(D(), hn::Iota(hn::RebindToSigned<D>(), 0)));
  D d;
  Indices shift_up;    // lane k from k - 1
  Indices shift_down;  // lane k from k + 1
  hn::Mask<D> first_lane;
  hn::Mask<D> last_lane;
};

template <class D>
Vectors<D> MakeVectors(D d) {
  const hn::RebindToSigned<D> di;
  const auto iota = hn::Iota(di, 0);
  const auto one = hn::Set(di, 1);
  const auto most = hn::Set(di, static_cast<int64_t>(hn::Lanes(d)) - 1);
  return {d, hn::IndicesFromVec(d, hn::Max(hn::Sub(iota, one), hn::Zero(di))),
          hn::IndicesFromVec(d, hn::Min(hn::Add(iota, one), most)), hn::FirstN(d, 1),
          hn::Not(hn::FirstN(d, hn::Lanes(d) - 1))};
}

// Section 3.4. Up and down commute; left and right do not, and the Dirichlet branch of the
// reference adds right first. 4 * c is exact, so the fused form rounds as the separate one does.
template <bool kRightFirst, Place kPlace, class D>
HWY_INLINE hn::Vec<D> Laplacian(const Vectors<D>& s, const Row& row, size_t j, hn::Vec<D>* mid) {
  const D d = s.d;
  *mid = hn::LoadU(d, row.mid + j);
  hn::Vec<D> left, right;
  if constexpr (kPlace == Place::kFirst || kPlace == Place::kOnly) {
    left = hn::IfThenElse(s.first_lane, hn::Set(d, row.before),
                          hn::TableLookupLanes(*mid, s.shift_up));
  } else {
    left = hn::LoadU(d, row.mid + j - 1);
  }
  if constexpr (kPlace == Place::kLast || kPlace == Place::kOnly) {
    right = hn::IfThenElse(s.last_lane, hn::Set(d, row.after),
                           hn::TableLookupLanes(*mid, s.shift_down));
  } else {
    right = hn::LoadU(d, row.mid + j + 1);
  }
  const auto updown = hn::Add(hn::LoadU(d, row.up + j), hn::LoadU(d, row.down + j));
  const auto sides =
      kRightFirst ? hn::Add(hn::Add(updown, right), left) : hn::Add(hn::Add(updown, left), right);
  return hn::NegMulAdd(hn::Set(d, 4.0), *mid, sides);
}

// NaN stays NaN, and -0.0 becomes a limit of 0.0: hence the comparisons with equality.
template <class V, class D>
HWY_INLINE V ClampTo(D d, V x, double lo, double hi) {
  const V low = hn::Set(d, lo);
  const V high = hn::Set(d, hi);
  const V y = hn::IfThenElse(hn::Le(x, low), low, x);
  return hn::IfThenElse(hn::Ge(y, high), high, y);
}

// The extremes of what the fast variant wrote; all inside the limits: nothing to clamp or count.
template <class D>
struct Extremes {
  hn::Vec<D> v_min, v_max, chem_min, chem_max;
};

template <class D>
Extremes<D> NoExtremes(D d) {
  const auto low = hn::Set(d, 1e300);
  const auto high = hn::Set(d, -1e300);
  return {low, high, low, high};
}

template <class D>
bool Inside(D d, const Extremes<D>& e, double chem_most, bool turing) {
  if (!hn::AllTrue(d, hn::Ge(e.v_min, hn::Set(d, kFieldMinV)))) return false;
  if (!hn::AllTrue(d, hn::Le(e.v_max, hn::Set(d, kFieldMaxV)))) return false;
  if (!turing) return true;
  return hn::AllTrue(d, hn::Gt(e.chem_min, hn::Zero(d))) &&
         hn::AllTrue(d, hn::Le(e.chem_max, hn::Set(d, chem_most)));
}

struct RowSet {
  Row v, a, inh;
  double* next_v;
  double* next_a;
  double* next_i;
};

// What a variant of the kernel is: compile-time, so that the inner loop has no branches.
template <bool kTuringIn, bool kSeesNewIn, bool kRightFirstIn, bool kClampFieldIn>
struct Variant {
  static constexpr bool kTuring = kTuringIn;
  static constexpr bool kSeesNew = kSeesNewIn;
  static constexpr bool kRightFirst = kRightFirstIn;
  static constexpr bool kClampField = kClampFieldIn;  // false: jitter comes between
};

// New values of one vector, before any clamp; the threshold rule is not yet applied.
template <class T, Place kPlace, class D>
HWY_INLINE void Compute(const Vectors<D>& s, const KernelParams& p, const RowSet& r, size_t j,
                        hn::Vec<D>* v, hn::Vec<D>* a, hn::Vec<D>* inh) {
  const D d = s.d;
  hn::Vec<D> mid;
  const auto lap_v = Laplacian<T::kRightFirst, kPlace>(s, r.v, j, &mid);
  *v = hn::Add(mid, hn::Mul(hn::Set(d, p.alpha), lap_v));
  if constexpr (T::kTuring) {
    hn::Vec<D> old_a, old_i;
    const auto lap_a = Laplacian<T::kRightFirst, kPlace>(s, r.a, j, &old_a);
    const auto lap_i = Laplacian<T::kRightFirst, kPlace>(s, r.inh, j, &old_i);
    const auto growth = hn::Sub(hn::Mul(old_a, hn::Sub(hn::Set(d, 1.0), old_a)), old_i);
    *a = hn::Add(old_a, hn::Add(hn::Mul(hn::Set(d, p.d_activator), lap_a),
                                hn::Mul(hn::Set(d, p.r_activator), growth)));
    const auto seen = T::kSeesNew ? *a : old_a;
    *inh = hn::Add(old_i, hn::Add(hn::Mul(hn::Set(d, p.d_inhibitor), lap_i),
                                  hn::Mul(hn::Set(d, p.r_inhibitor), hn::Sub(seen, old_i))));
  }
}

template <class T, Place kPlace, class D>
HWY_INLINE void FastVector(const Vectors<D>& s, const KernelParams& p, const RowSet& r, size_t j,
                           Extremes<D>* e) {
  const D d = s.d;
  hn::Vec<D> v, a, inh;
  Compute<T, kPlace>(s, p, r, j, &v, &a, &inh);
  if constexpr (T::kClampField) {
    e->v_min = hn::Min(e->v_min, v);
    e->v_max = hn::Max(e->v_max, v);
  }
  hn::StoreU(v, d, r.next_v + j);
  if constexpr (T::kTuring) {
    e->chem_min = hn::Min(e->chem_min, hn::Min(a, inh));
    e->chem_max = hn::Max(e->chem_max, hn::Max(a, inh));
    hn::StoreU(a, d, r.next_a + j);
    hn::StoreU(inh, d, r.next_i + j);
  }
}

// `fresh`: the lanes that no earlier vector of the row has counted.
template <class T, Place kPlace, class D>
HWY_INLINE void CountingVector(const Vectors<D>& s, const KernelParams& p, const RowSet& r,
                               size_t j, hn::Mask<D> fresh, StepCounts* counts) {
  const D d = s.d;
  hn::Vec<D> v, a, inh;
  Compute<T, kPlace>(s, p, r, j, &v, &a, &inh);
  if constexpr (T::kTuring) {
    const auto fires = hn::Gt(a, hn::Set(d, p.turing_threshold));
    v = hn::IfThenElse(fires, hn::Add(v, hn::Set(d, kTuringIncrementV)), v);
    counts->turing_activations += hn::CountTrue(d, hn::And(fires, fresh));
    counts->activator_nan += hn::CountTrue(d, hn::And(hn::Not(hn::Eq(a, a)), fresh));
    counts->inhibitor_nan += hn::CountTrue(d, hn::And(hn::Not(hn::Eq(inh, inh)), fresh));
    hn::StoreU(ClampTo(d, a, 0.0, 1.0), d, r.next_a + j);
    hn::StoreU(ClampTo(d, inh, 0.0, 1.0), d, r.next_i + j);
  }
  if constexpr (T::kClampField) {
    const auto w = ClampTo(d, v, kFieldMinV, kFieldMaxV);
    // A NaN differs from itself, so it counts as clamped, as in the reference.
    counts->clamping_events += hn::CountTrue(d, hn::And(hn::Not(hn::Eq(w, v)), fresh));
    counts->field_nan += hn::CountTrue(d, hn::And(hn::Not(hn::Eq(w, w)), fresh));
    v = w;
  }
  hn::StoreU(v, d, r.next_v + j);
}

template <class T, class D>
void FastRow(const Vectors<D>& s, const KernelParams& p, const RowSet& r, size_t n,
             Extremes<D>* e) {
  const size_t lanes = hn::Lanes(s.d);
  if (n == lanes) return FastVector<T, Place::kOnly>(s, p, r, 0, e);
  FastVector<T, Place::kFirst>(s, p, r, 0, e);
  size_t j = lanes;
  for (; j + lanes < n; j += lanes) FastVector<T, Place::kInside>(s, p, r, j, e);
  FastVector<T, Place::kLast>(s, p, r, n - lanes, e);
}

template <class T, class D>
void CountingRow(const Vectors<D>& s, const KernelParams& p, const RowSet& r, size_t n,
                 StepCounts* counts) {
  const D d = s.d;
  const size_t lanes = hn::Lanes(d);
  const auto all = hn::FirstN(d, lanes);
  if (n == lanes) return CountingVector<T, Place::kOnly>(s, p, r, 0, all, counts);
  CountingVector<T, Place::kFirst>(s, p, r, 0, all, counts);
  size_t j = lanes;
  for (; j + lanes < n; j += lanes) CountingVector<T, Place::kInside>(s, p, r, j, all, counts);
  // The last vector ends with the row and may overlap the one before it.
  const auto fresh = hn::Not(hn::FirstN(d, lanes - (n - j)));
  CountingVector<T, Place::kLast>(s, p, r, n - lanes, fresh, counts);
}

template <class T>
HWY_INLINE RowSet RowsOf(const KernelParams& p, const KernelState& s, size_t i) {
  const size_t at = i * s.n;
  RowSet rows{RowOf(s.field, s.n, i, p.boundary), {}, {}, s.next_field + at, nullptr, nullptr};
  if constexpr (T::kTuring) {
    rows.a = RowOf(s.activator, s.n, i, p.boundary);
    rows.inh = RowOf(s.inhibitor, s.n, i, p.boundary);
    rows.next_a = s.next_activator + at;
    rows.next_i = s.next_inhibitor + at;
  }
  return rows;
}

// Rows that are checked, and if need be done again, together: few enough to be in cache still.
constexpr size_t kBlockRows = 8;

template <class T, class D>
StepCounts StepGrid(D d, const KernelParams& p, const KernelState& s) {
  const Vectors<D> vectors = MakeVectors(d);
  // Extremes do not see a NaN; from finite parameters and a clamped state none can arise.
  const bool finite = std::isfinite(p.alpha + p.d_activator + p.d_inhibitor + p.r_activator +
                                    p.r_inhibitor + p.turing_threshold);
  const double chem_most = std::min(p.turing_threshold, 1.0);
  StepCounts counts;
  bool fast = finite;
  for (size_t first = 0; first < s.n; first += kBlockRows) {
    const size_t end = std::min(first + kBlockRows, s.n);
    if (fast) {
      Extremes<D> extremes = NoExtremes(d);
      for (size_t i = first; i < end; ++i)
        FastRow<T>(vectors, p, RowsOf<T>(p, s, i), s.n, &extremes);
      if (!T::kClampField) extremes.v_min = extremes.v_max = hn::Zero(d);
      if (Inside(d, extremes, chem_most, T::kTuring)) continue;
    }
    const StepCounts before = counts;
    for (size_t i = first; i < end; ++i)
      CountingRow<T>(vectors, p, RowsOf<T>(p, s, i), s.n, &counts);
    // Where one block touched a limit the next is likely to: it is counted at once.
    fast = finite && before == counts;
  }
  return counts;
}

template <bool kTuring, bool kSeesNew, class D>
StepCounts Choose(D d, const KernelParams& p, const KernelState& s) {
  const bool right_first = p.boundary == Boundary::kDirichlet;
  if (p.quantum_jitter) {
    return right_first ? StepGrid<Variant<kTuring, kSeesNew, true, false>>(d, p, s)
                       : StepGrid<Variant<kTuring, kSeesNew, false, false>>(d, p, s);
  }
  return right_first ? StepGrid<Variant<kTuring, kSeesNew, true, true>>(d, p, s)
                     : StepGrid<Variant<kTuring, kSeesNew, false, true>>(d, p, s);
}

template <class D>
StepCounts ChooseChemistry(D d, const KernelParams& p, const KernelState& s) {
  if (!p.turing_enabled) return Choose<false, false>(d, p, s);
  return p.inhibitor_sees_new_activator ? Choose<true, true>(d, p, s)
                                        : Choose<true, false>(d, p, s);
}

StepCounts StepFieldVectors(const KernelParams& p, const KernelState& s) {
  const hn::ScalableTag<double> widest;
  if (s.n >= hn::Lanes(widest)) return ChooseChemistry(widest, p, s);
  return ChooseChemistry(hn::CappedTag<double, 1>(), p, s);
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(StepFieldVectors);

StepCounts StepFieldSimd(const KernelParams& params, const KernelState& state) {
  return HWY_DYNAMIC_DISPATCH(StepFieldVectors)(params, state);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
