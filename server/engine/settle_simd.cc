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

template <class D>
HWY_INLINE int64_t CountNotFinite(D d, hn::Vec<D> x) {
  return CountNan(d, hn::Sub(x, x));
}

// A NaN differs from itself, so it counts as clamped, as in the reference.
template <class D>
HWY_INLINE hn::Vec<D> ClampField(D d, hn::Vec<D> v, StepCounts* counts) {
  const auto w = ClampTo(d, v, kFieldMinV, kFieldMaxV);
  counts->clamping_events += static_cast<int64_t>(hn::CountTrue(d, hn::Not(hn::Eq(w, v))));
  counts->field_bad += CountNan(d, w);
  return w;
}

template <bool kClamped, class D, typename T = hn::TFromD<D>>
HWY_INLINE void SettleVector(D d, const KernelParams& p, T* field, T* activator, T* inhibitor,
                             StepCounts* counts) {
  auto v = hn::LoadU(d, field);
  if (p.turing_enabled) {
    const auto a = hn::LoadU(d, activator);
    const auto i = hn::LoadU(d, inhibitor);
    const auto fires = hn::Gt(a, hn::Set(d, static_cast<T>(p.turing_threshold)));
    v = hn::IfThenElse(fires, hn::Add(v, hn::Set(d, static_cast<T>(kTuringIncrementV))), v);
    counts->turing_activations += static_cast<int64_t>(hn::CountTrue(d, fires));
    if constexpr (kClamped) {
      counts->activator_bad += CountNan(d, a);
      counts->inhibitor_bad += CountNan(d, i);
      hn::StoreU(ClampTo(d, a, 0.0, kChemicalMax), d, activator);
      hn::StoreU(ClampTo(d, i, 0.0, kChemicalMax), d, inhibitor);
    } else {
      counts->activator_bad += CountNotFinite(d, a);
      counts->inhibitor_bad += CountNotFinite(d, i);
    }
  }
  if (!p.quantum_jitter) v = ClampField(d, v, counts);
  hn::StoreU(v, d, field);
}

template <bool kClamped, typename T>
void SettleCells(const KernelParams& p, size_t width, T* field, T* activator, T* inhibitor,
                 StepCounts* counts) {
  const hn::ScalableTag<T> widest;
  StepCounts local = *counts;
  size_t j = 0;
  for (; j + hn::Lanes(widest) <= width; j += hn::Lanes(widest)) {
    SettleVector<kClamped>(widest, p, field + j, activator + j, inhibitor + j, &local);
  }
  for (; j < width; ++j) {
    SettleVector<kClamped>(hn::CappedTag<T, 1>(), p, field + j, activator + j, inhibitor + j,
                           &local);
  }
  *counts = local;
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
HWY_INLINE void NoiseVector(D d, const double* noise, double* field, StepCounts* counts) {
  const auto v = hn::Add(hn::LoadU(d, field), hn::LoadU(d, noise));
  hn::StoreU(ClampField(d, v, counts), d, field);
}

template <class D>
HWY_INLINE void NoiseVector(D d, const double* noise, float* field, StepCounts* counts) {
  const hn::Rebind<float, D> narrow;
  const auto v = hn::Add(hn::LoadU(narrow, field), hn::DemoteTo(narrow, hn::LoadU(d, noise)));
  hn::StoreU(ClampField(narrow, v, counts), narrow, field);
}

template <typename T>
void Noise(size_t width, const double* noise, T* field, StepCounts* counts) {
  const hn::ScalableTag<double> widest;
  StepCounts local = *counts;
  size_t j = 0;
  for (; j + hn::Lanes(widest) <= width; j += hn::Lanes(widest)) {
    NoiseVector(widest, noise + j, field + j, &local);
  }
  for (; j < width; ++j) NoiseVector(hn::CappedTag<double, 1>(), noise + j, field + j, &local);
  *counts = local;
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
