// Cells from one order to the other by gathering every so many of them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/lanes_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include <algorithm>

#include "hwy/highway.h"
#include "server/engine/lanes_simd.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Lane k of the result is k * distance.
template <class D>
auto Strides(D, size_t distance) {
  const hn::RebindToSigned<D> whole;
  using Index = hn::TFromD<decltype(whole)>;
  return hn::Mul(hn::Iota(whole, Index{0}), hn::Set(whole, static_cast<Index>(distance)));
}

template <typename T>
void ToLanes(size_t rows, size_t n, T* at) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  const size_t part = n / lanes;
  const auto strides = Strides(d, part);
  T from[kMaxLaneRow];
  for (size_t row = 0; row < rows; ++row, at += n) {
    std::copy_n(at, n, from);
    for (size_t j = 0; j < part; ++j) {
      hn::StoreU(hn::GatherIndex(d, from + j, strides), d, at + j * lanes);
    }
  }
}

// The last vector of a part ends with it and may overlap the one before it.
template <typename T>
void ToColumns(size_t rows, size_t n, T* at) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  const size_t part = n / lanes;
  const auto strides = Strides(d, lanes);
  T from[kMaxLaneRow];
  for (size_t row = 0; row < rows; ++row, at += n) {
    std::copy_n(at, n, from);
    for (size_t k = 0; k < lanes; ++k) {
      for (size_t done = 0; done < part; done += lanes) {
        const size_t j = done + lanes <= part ? done : part - lanes;
        hn::StoreU(hn::GatherIndex(d, from + j * lanes + k, strides), d, at + k * part + j);
      }
    }
  }
}

size_t LanesOfDouble() { return hn::Lanes(hn::ScalableTag<double>()); }
size_t LanesOfFloat() { return hn::Lanes(hn::ScalableTag<float>()); }
void DoublesToLanes(size_t rows, size_t n, double* at) { ToLanes(rows, n, at); }
void FloatsToLanes(size_t rows, size_t n, float* at) { ToLanes(rows, n, at); }
void DoublesToColumns(size_t rows, size_t n, double* at) { ToColumns(rows, n, at); }
void FloatsToColumns(size_t rows, size_t n, float* at) { ToColumns(rows, n, at); }

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(LanesOfDouble);
HWY_EXPORT(LanesOfFloat);
HWY_EXPORT(DoublesToLanes);
HWY_EXPORT(FloatsToLanes);
HWY_EXPORT(DoublesToColumns);
HWY_EXPORT(FloatsToColumns);

size_t VectorLanes(double) { return HWY_DYNAMIC_DISPATCH(LanesOfDouble)(); }

size_t VectorLanes(float) { return HWY_DYNAMIC_DISPATCH(LanesOfFloat)(); }

void ColumnsToLanes(size_t rows, size_t n, double* at) {
  HWY_DYNAMIC_DISPATCH(DoublesToLanes)(rows, n, at);
}

void ColumnsToLanes(size_t rows, size_t n, float* at) {
  HWY_DYNAMIC_DISPATCH(FloatsToLanes)(rows, n, at);
}

void LanesToColumns(size_t rows, size_t n, double* at) {
  HWY_DYNAMIC_DISPATCH(DoublesToColumns)(rows, n, at);
}

void LanesToColumns(size_t rows, size_t n, float* at) {
  HWY_DYNAMIC_DISPATCH(FloatsToColumns)(rows, n, at);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
