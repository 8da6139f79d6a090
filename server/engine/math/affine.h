// Affine maps y = W x + b over borrowed parameters, and their gradients: what the attention and the
// network are made of.

#ifndef MFN_SERVER_ENGINE_MATH_AFFINE_H_
#define MFN_SERVER_ENGINE_MATH_AFFINE_H_

#include <cstddef>
#include <span>

namespace mfn::engine {

struct Affine {
  size_t in = 0;
  size_t out = 0;
  std::span<const double> weight;  // [out][in]
  std::span<const double> bias;    // [out]
};

// Where gradients of an Affine are added up; same shapes.
struct AffineGradient {
  std::span<double> weight;
  std::span<double> bias;
};

// y[out] = W x[in] + b. No overlap.
inline void ApplyAffine(const Affine& map, const double* x, double* y) {
  for (size_t o = 0; o < map.out; ++o) {
    const double* row = map.weight.data() + o * map.in;
    double sum = 0.0;
    for (size_t i = 0; i < map.in; ++i) sum += row[i] * x[i];
    y[o] = sum + map.bias[o];
  }
}

// Given dL/dy, adds to the parameters' gradients and, if dx is not null, to dL/dx.
inline void AffineBackward(const Affine& map, const double* x, const double* dy,
                           const AffineGradient& gradient, double* dx) {
  for (size_t o = 0; o < map.out; ++o) {
    double* weight = gradient.weight.data() + o * map.in;
    for (size_t i = 0; i < map.in; ++i) weight[i] += dy[o] * x[i];
    gradient.bias[o] += dy[o];
    if (dx == nullptr) continue;
    const double* row = map.weight.data() + o * map.in;
    for (size_t i = 0; i < map.in; ++i) dx[i] += row[i] * dy[o];
  }
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_AFFINE_H_
