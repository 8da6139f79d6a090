// Differences on rectangular fields: Laplacian, gradient and statistics (numeric model, section
// 6.10). The rules that make one simulation step of them are in field_rules.h.

#ifndef MFN_SERVER_ENGINE_MATH_STENCIL_H_
#define MFN_SERVER_ENGINE_MATH_STENCIL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/config.h"
#include "server/engine/error.h"

namespace mfn::engine {

// Limit of one field: 128 MB.
inline constexpr size_t kMaxFieldCells = size_t{1} << 24;

// A rectangular field, row-major, borrowed: rows * columns values, both at least 1.
struct FieldView {
  std::span<const double> values;
  size_t rows = 0;
  size_t columns = 0;
};

// kInvalidArgument on "field" for a wrong size, kResourceExhausted past kMaxFieldCells.
Expected<void> CheckField(const FieldView& field);

// The five-point Laplacian with the boundary and summation order of section 3.4; exact. With
// `check` a NaN or infinite result is kNumericalInstability on "laplacian".
Expected<std::vector<double>> Laplacian(const FieldView& field, Boundary boundary,
                                        bool check = true);

struct FieldGradient {
  std::vector<double> axis0;  // along rows (i), the shape of the field
  std::vector<double> axis1;  // along columns (j)
};

// Periodic: (next - previous) / 2 everywhere. Otherwise the same inside and one-sided, undivided
// differences on the borders, for which both sides need at least 2 cells (kInvalidArgument on
// "field").
Expected<FieldGradient> Gradient(const FieldView& field, Boundary boundary);

// Over all values; exact (section 1.1). NaN and infinity are counted and make the figures they
// enter NaN or infinite.
struct FieldNumbers {
  double min = 0.0, max = 0.0, mean = 0.0, std = 0.0;
  int64_t nan_count = 0;
  int64_t inf_count = 0;
  double finite_fraction = 1.0;  // of all cells
};
Expected<FieldNumbers> NumbersOf(const FieldView& field);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_STENCIL_H_
