// Cells from one order to the other by gathering every so many of them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/lanes_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
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
void ToLanes(size_t rows, size_t n, const T* from, T* to) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  const size_t part = n / lanes;
  const auto strides = Strides(d, part);
  for (size_t row = 0; row < rows; ++row, from += n, to += n) {
    for (size_t j = 0; j < part; ++j) {
      hn::StoreU(hn::GatherIndex(d, from + j, strides), d, to + j * lanes);
    }
  }
}

// The last vector of a part ends with it and may overlap the one before it.
template <typename T>
void ToColumns(size_t rows, size_t n, const T* from, T* to) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  const size_t part = n / lanes;
  const auto strides = Strides(d, lanes);
  for (size_t row = 0; row < rows; ++row, from += n, to += n) {
    for (size_t k = 0; k < lanes; ++k) {
      for (size_t done = 0; done < part; done += lanes) {
        const size_t j = done + lanes <= part ? done : part - lanes;
        hn::StoreU(hn::GatherIndex(d, from + j * lanes + k, strides), d, to + k * part + j);
      }
    }
  }
}

void DoublesToEighths(size_t n, const double* from, double* to) {
  const hn::ScalableTag<double> d;
  const size_t lanes = hn::Lanes(d);
  const auto strides = Strides(d, n * n / lanes);
  for (size_t row = 0; row < n / lanes; ++row, from += n) {
    for (size_t q = 0; q < 8; ++q) {
      for (size_t j = q; j < n; j += 8, to += lanes) {
        hn::StoreU(hn::GatherIndex(d, from + j, strides), d, to);
      }
    }
  }
}

void DoublesFromEighths(size_t n, const double* from, double* to) {
  const hn::ScalableTag<double> d;
  const size_t lanes = hn::Lanes(d);
  const size_t rows = n / lanes;
  const auto strides = Strides(d, n / 8 * lanes);
  for (size_t k = 0; k < lanes; ++k) {
    for (size_t row = 0; row < rows; ++row) {
      for (size_t j = 0; j < n; j += lanes, to += lanes) {
        const double* const at = from + (row * n + j % 8 * (n / 8) + j / 8) * lanes + k;
        hn::StoreU(hn::GatherIndex(d, at, strides), d, to);
      }
    }
  }
}

size_t LanesOfDouble() { return hn::Lanes(hn::ScalableTag<double>()); }
size_t LanesOfFloat() { return hn::Lanes(hn::ScalableTag<float>()); }
void DoublesToLanes(size_t rows, size_t n, const double* from, double* to) {
  ToLanes(rows, n, from, to);
}
void FloatsToLanes(size_t rows, size_t n, const float* from, float* to) {
  ToLanes(rows, n, from, to);
}
void DoublesToColumns(size_t rows, size_t n, const double* from, double* to) {
  ToColumns(rows, n, from, to);
}
void FloatsToColumns(size_t rows, size_t n, const float* from, float* to) {
  ToColumns(rows, n, from, to);
}
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
HWY_EXPORT(DoublesToEighths);
HWY_EXPORT(DoublesFromEighths);

size_t VectorLanes(double) { return HWY_DYNAMIC_DISPATCH(LanesOfDouble)(); }

size_t VectorLanes(float) { return HWY_DYNAMIC_DISPATCH(LanesOfFloat)(); }

void ColumnsToLanes(size_t rows, size_t n, const double* from, double* to) {
  HWY_DYNAMIC_DISPATCH(DoublesToLanes)(rows, n, from, to);
}

void ColumnsToLanes(size_t rows, size_t n, const float* from, float* to) {
  HWY_DYNAMIC_DISPATCH(FloatsToLanes)(rows, n, from, to);
}

void LanesToColumns(size_t rows, size_t n, const double* from, double* to) {
  HWY_DYNAMIC_DISPATCH(DoublesToColumns)(rows, n, from, to);
}

void LanesToColumns(size_t rows, size_t n, const float* from, float* to) {
  HWY_DYNAMIC_DISPATCH(FloatsToColumns)(rows, n, from, to);
}

void ColumnsToEighths(size_t n, const double* from, double* to) {
  HWY_DYNAMIC_DISPATCH(DoublesToEighths)(n, from, to);
}

void EighthsToColumns(size_t n, const double* from, double* to) {
  HWY_DYNAMIC_DISPATCH(DoublesFromEighths)(n, from, to);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
