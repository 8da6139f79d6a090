// What comes after the step kernel where it is needed, in vectors: threshold, clamps, counts, noise
// (numeric model, section 3.3, steps 4 to 6).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/settle_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include <variant>

#include "hwy/highway.h"
#include "server/engine/kernel_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// NaN stays NaN, and -0.0 becomes a limit of 0.0: hence the comparisons with equality.
template <class D, class V = hn::Vec<D>, typename T = hn::TFromD<D>>
HWY_INLINE V ClampTo(D d, V x, double lo, double hi) {
  const V low = hn::Set(d, static_cast<T>(lo));
  const V high = hn::Set(d, static_cast<T>(hi));
  const V y = hn::IfThenElse(hn::Le(x, low), low, x);
  return hn::IfThenElse(hn::Ge(y, high), high, y);
}

template <class D>
HWY_INLINE int64_t CountNan(D d, hn::Vec<D> x) {
  return static_cast<int64_t>(hn::CountTrue(d, hn::Not(hn::Eq(x, x))));
}

// What some vectors counted, in each lane: a number of vectors is far from what a float can hold.
template <class D>
struct Tally {
  hn::Vec<D> fired, clamped;
  hn::Vec<D> odd;  // any bit: some value was not finite

  explicit Tally(D d) : fired(hn::Zero(d)), clamped(hn::Zero(d)), odd(hn::Zero(d)) {}

  // x - x is 0 if x is finite.
  HWY_INLINE void Look(D, hn::Vec<D> x) { odd = hn::Or(odd, hn::Sub(x, x)); }

  bool AllFinite(D /*d*/) const {
    const hn::RebindToUnsigned<D> bits;
    return hn::AllTrue(bits, hn::Eq(hn::BitCast(bits, odd), hn::Zero(bits)));
  }

  void AddTo(D d, StepCounts* counts) const {
    counts->turing_activations += static_cast<int64_t>(hn::GetLane(hn::SumOfLanes(d, fired)));
    counts->clamping_events += static_cast<int64_t>(hn::GetLane(hn::SumOfLanes(d, clamped)));
  }
};

template <class D, class M>
HWY_INLINE void Count(D d, M mask, hn::Vec<D>* count) {
  const auto one = hn::Set(d, static_cast<hn::TFromD<D>>(1));
  *count = hn::IfThenElse(mask, hn::Add(*count, one), *count);
}

// A NaN differs from itself, so it counts as clamped, as in the reference.
template <class D>
HWY_INLINE hn::Vec<D> ClampField(D d, hn::Vec<D> v, Tally<D>* tally) {
  const auto w = ClampTo(d, v, kFieldMinV, kFieldMaxV);
  Count(d, hn::Not(hn::Eq(w, v)), &tally->clamped);
  return w;
}

// What is needed of KernelParams: copied, as what is stored might be part of them for all a
// compiler knows.
struct Rules {
  bool chemistry, clamp_field;
  double threshold;

  explicit Rules(const KernelParams& p)
      : chemistry(p.turing_enabled),
        clamp_field(!p.quantum_jitter),
        threshold(p.turing_threshold) {}
};

template <bool kClamped, class D, typename T = hn::TFromD<D>>
HWY_INLINE void SettleVector(D d, const Rules& rules, T* field, T* activator, T* inhibitor,
                             Tally<D>* tally) {
  auto v = hn::LoadU(d, field);
  auto all = v;
  if (rules.chemistry) {
    const auto a = hn::LoadU(d, activator);
    const auto i = hn::LoadU(d, inhibitor);
    all = hn::Add(all, hn::Add(a, i));
    const auto fires = hn::Gt(a, hn::Set(d, static_cast<T>(rules.threshold)));
    v = hn::IfThenElse(fires, hn::Add(v, hn::Set(d, static_cast<T>(kTuringIncrementV))), v);
    Count(d, fires, &tally->fired);
    if constexpr (kClamped) {
      hn::StoreU(ClampTo(d, a, 0.0, kChemicalMax), d, activator);
      hn::StoreU(ClampTo(d, i, 0.0, kChemicalMax), d, inhibitor);
    }
  }
  tally->Look(d, all);
  if (rules.clamp_field) v = ClampField(d, v, tally);
  hn::StoreU(v, d, field);
}

// Of cells that were settled: no clamp mends a NaN, and what has no clamp must be finite.
template <bool kClamped, typename T>
void CountBad(const KernelParams& p, size_t width, const T* field, const T* activator,
              const T* inhibitor, StepCounts* counts) {
  const hn::CappedTag<T, 1> d;
  const auto bad = [d](T x) {
    const auto v = hn::Set(d, x);
    return CountNan(d, kClamped ? v : hn::Sub(v, v));
  };
  for (size_t j = 0; j < width; ++j) {
    if (!p.quantum_jitter) counts->field_bad += CountNan(d, hn::Set(d, field[j]));
    if (!p.turing_enabled) continue;
    counts->activator_bad += bad(activator[j]);
    counts->inhibitor_bad += bad(inhibitor[j]);
  }
}

template <bool kClamped, typename T>
void SettleCells(const KernelParams& p, size_t width, T* field, T* activator, T* inhibitor,
                 StepCounts* counts) {
  const hn::ScalableTag<T> widest;
  const hn::CappedTag<T, 1> single;
  const Rules rules(p);
  Tally<hn::ScalableTag<T>> tally(widest);
  Tally<hn::CappedTag<T, 1>> rest(single);
  size_t j = 0;
  for (; j + hn::Lanes(widest) <= width; j += hn::Lanes(widest)) {
    SettleVector<kClamped>(widest, rules, field + j, activator + j, inhibitor + j, &tally);
  }
  for (; j < width; ++j) {
    SettleVector<kClamped>(single, rules, field + j, activator + j, inhibitor + j, &rest);
  }
  tally.AddTo(widest, counts);
  rest.AddTo(single, counts);
  if (tally.AllFinite(widest) && rest.AllFinite(single)) return;
  CountBad<kClamped>(p, width, field, activator, inhibitor, counts);
}

template <typename T>
void Settle(const KernelParams& p, size_t width, T* field, T* activator, T* inhibitor,
            StepCounts* counts) {
  if (std::holds_alternative<Mfn>(p.kinetics)) {
    SettleCells<true>(p, width, field, activator, inhibitor, counts);
  } else {
    SettleCells<false>(p, width, field, activator, inhibitor, counts);
  }
}

template <class D>
HWY_INLINE void NoiseVector(D d, const double* noise, double* field, Tally<D>* tally) {
  const auto v = hn::Add(hn::LoadU(d, field), hn::LoadU(d, noise));
  tally->Look(d, v);
  hn::StoreU(ClampField(d, v, tally), d, field);
}

template <class D, class N = hn::Rebind<float, D>>
HWY_INLINE void NoiseVector(D d, const double* noise, float* field, Tally<N>* tally) {
  const N narrow;
  const auto v = hn::Add(hn::LoadU(narrow, field), hn::DemoteTo(narrow, hn::LoadU(d, noise)));
  tally->Look(narrow, v);
  hn::StoreU(ClampField(narrow, v, tally), narrow, field);
}

template <typename T>
void Noise(size_t width, const double* noise, T* field, StepCounts* counts) {
  using Widest = hn::ScalableTag<double>;
  using Single = hn::CappedTag<double, 1>;
  const hn::Rebind<T, Widest> wide_values;
  const hn::Rebind<T, Single> single_value;
  Tally<hn::Rebind<T, Widest>> tally(wide_values);
  Tally<hn::Rebind<T, Single>> rest(single_value);
  size_t j = 0;
  for (; j + hn::Lanes(Widest()) <= width; j += hn::Lanes(Widest())) {
    NoiseVector(Widest(), noise + j, field + j, &tally);
  }
  for (; j < width; ++j) NoiseVector(Single(), noise + j, field + j, &rest);
  tally.AddTo(wide_values, counts);
  rest.AddTo(single_value, counts);
  if (tally.AllFinite(wide_values) && rest.AllFinite(single_value)) return;
  for (size_t k = 0; k < width; ++k) counts->field_bad += field[k] != field[k] ? 1 : 0;
}

void SettleDouble(const KernelParams& p, size_t width, double* field, double* activator,
                  double* inhibitor, StepCounts* counts) {
  Settle(p, width, field, activator, inhibitor, counts);
}
void SettleFloat(const KernelParams& p, size_t width, float* field, float* activator,
                 float* inhibitor, StepCounts* counts) {
  Settle(p, width, field, activator, inhibitor, counts);
}
void NoiseDouble(size_t width, const double* noise, double* field, StepCounts* counts) {
  Noise(width, noise, field, counts);
}
void NoiseFloat(size_t width, const double* noise, float* field, StepCounts* counts) {
  Noise(width, noise, field, counts);
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(SettleDouble);
HWY_EXPORT(SettleFloat);
HWY_EXPORT(NoiseDouble);
HWY_EXPORT(NoiseFloat);

void SettleRow(const KernelParams& params, size_t width, double* field, double* activator,
               double* inhibitor, StepCounts* counts) {
  HWY_DYNAMIC_DISPATCH(SettleDouble)(params, width, field, activator, inhibitor, counts);
}

void SettleRow(const KernelParams& params, size_t width, float* field, float* activator,
               float* inhibitor, StepCounts* counts) {
  HWY_DYNAMIC_DISPATCH(SettleFloat)(params, width, field, activator, inhibitor, counts);
}

void AddNoiseAndClamp(size_t width, const double* noise, double* field, StepCounts* counts) {
  HWY_DYNAMIC_DISPATCH(NoiseDouble)(width, noise, field, counts);
}

void AddNoiseAndClamp(size_t width, const double* noise, float* field, StepCounts* counts) {
  HWY_DYNAMIC_DISPATCH(NoiseFloat)(width, noise, field, counts);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
