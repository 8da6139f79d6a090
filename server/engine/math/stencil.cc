// Differences and statistics.

#include "server/engine/math/stencil.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

Expected<void> CheckFinite(std::span<const double> values, const char* name) {
  const auto nan = [](double v) { return std::isnan(v); };
  const auto inf = [](double v) { return std::isinf(v); };
  const int64_t nans = std::count_if(values.begin(), values.end(), nan);
  const int64_t infinities = std::count_if(values.begin(), values.end(), inf);
  if (nans == 0 && infinities == 0) return {};
  Error error;
  error.kind = ErrorKind::kNumericalInstability;
  error.field = name;
  error.count = nans != 0 ? nans : infinities;
  error.message = std::string("the ") + name + " has " + std::to_string(*error.count) +
                  (nans != 0 ? " NaN" : " infinite") + " cells of " +
                  std::to_string(values.size()) + "; check the field for values not finite or huge";
  return error;
}

// The four neighbours of a cell, zero or the cell itself beyond the border.
class Neighbours {
 public:
  Neighbours(const FieldView& field, Boundary boundary) : field_(field), boundary_(boundary) {}

  double Up(size_t i, size_t j) const {
    return i > 0 ? At(i - 1, j) : Beyond(field_.rows - 1, j, i, j);
  }
  double Down(size_t i, size_t j) const {
    return i + 1 < field_.rows ? At(i + 1, j) : Beyond(0, j, i, j);
  }
  double Left(size_t i, size_t j) const {
    return j > 0 ? At(i, j - 1) : Beyond(i, field_.columns - 1, i, j);
  }
  double Right(size_t i, size_t j) const {
    return j + 1 < field_.columns ? At(i, j + 1) : Beyond(i, 0, i, j);
  }
  double At(size_t i, size_t j) const { return field_.values[i * field_.columns + j]; }

 private:
  double Beyond(size_t wrapped_i, size_t wrapped_j, size_t i, size_t j) const {
    switch (boundary_) {
      case Boundary::kPeriodic:
        return At(wrapped_i, wrapped_j);
      case Boundary::kNeumann:
        return At(i, j);
      case Boundary::kDirichlet:
        return 0.0;
    }
    return 0.0;
  }

  const FieldView& field_;
  const Boundary boundary_;
};

// The difference along one axis: position k of n, value(k) on the line through the cell.
template <typename Value>
double Difference(size_t k, size_t n, bool periodic, const Value& value) {
  if (periodic) return (value((k + 1) % n) - value((k + n - 1) % n)) / 2.0;
  if (k == 0) return value(1) - value(0);
  if (k == n - 1) return value(n - 1) - value(n - 2);
  return (value(k + 1) - value(k - 1)) / 2.0;
}

}  // namespace

Expected<void> CheckField(const FieldView& field) {
  if (field.rows == 0 || field.columns == 0) {
    return InvalidArgument("field", "field is empty, needs at least one row and one column");
  }
  if (field.rows > kMaxFieldCells / field.columns) {
    Error error;
    error.kind = ErrorKind::kResourceExhausted;
    error.field = "field";
    error.message = "a field of " + std::to_string(field.rows) + " x " +
                    std::to_string(field.columns) + " cells is too large, at most " +
                    std::to_string(kMaxFieldCells) + " cells";
    return error;
  }
  if (field.values.size() == field.rows * field.columns) return {};
  return InvalidArgument("field", "field has " + std::to_string(field.values.size()) +
                                      " values, must have " + std::to_string(field.rows) + " x " +
                                      std::to_string(field.columns));
}

Expected<std::vector<double>> Laplacian(const FieldView& field, Boundary boundary, bool check) {
  if (auto ok = CheckField(field); !ok.ok()) return ok.error();
  const Neighbours at(field, boundary);
  std::vector<double> result;
  result.reserve(field.values.size());
  // The reference sums the Dirichlet neighbours in another order, which shows in the last bits.
  const bool swapped = boundary == Boundary::kDirichlet;
  for (size_t i = 0; i < field.rows; ++i) {
    for (size_t j = 0; j < field.columns; ++j) {
      const double up = at.Up(i, j), down = at.Down(i, j);
      const double left = at.Left(i, j), right = at.Right(i, j);
      const double sum = swapped ? ((down + up) + right) + left : ((up + down) + left) + right;
      result.push_back(sum - (4.0 * at.At(i, j)));
    }
  }
  if (!check) return result;
  if (auto ok = CheckFinite(result, "laplacian"); !ok.ok()) return ok.error();
  return result;
}

Expected<FieldGradient> Gradient(const FieldView& field, Boundary boundary) {
  if (auto ok = CheckField(field); !ok.ok()) return ok.error();
  const bool periodic = boundary == Boundary::kPeriodic;
  const size_t rows = field.rows;
  const size_t columns = field.columns;
  if (!periodic && (rows < 2 || columns < 2)) {
    return InvalidArgument("field", "field has " + std::to_string(rows) + " x " +
                                        std::to_string(columns) +
                                        " cells, a gradient without wrap needs 2 x 2");
  }
  FieldGradient gradient;
  gradient.axis0.reserve(field.values.size());
  gradient.axis1.reserve(field.values.size());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      gradient.axis0.push_back(
          Difference(i, rows, periodic, [&](size_t k) { return field.values[k * columns + j]; }));
      gradient.axis1.push_back(Difference(j, columns, periodic,
                                          [&](size_t k) { return field.values[i * columns + k]; }));
    }
  }
  return gradient;
}

Expected<FieldNumbers> NumbersOf(const FieldView& field) {
  if (auto ok = CheckField(field); !ok.ok()) return ok.error();
  FieldNumbers numbers;
  numbers.min = numbers.max = field.values[0];
  for (const double value : field.values) {
    numbers.nan_count += std::isnan(value);
    numbers.inf_count += std::isinf(value);
    numbers.min = std::min(numbers.min, value);
    numbers.max = std::max(numbers.max, value);
  }
  // Comparisons skip a NaN; the reference's extremes are NaN as soon as one cell is.
  if (numbers.nan_count != 0) numbers.min = numbers.max = std::numeric_limits<double>::quiet_NaN();
  numbers.mean = Mean(field.values);
  numbers.std = Std(field.values);
  const double cells = static_cast<double>(field.values.size());
  numbers.finite_fraction =
      (cells - static_cast<double>(numbers.nan_count + numbers.inf_count)) / cells;
  return numbers;
}

}  // namespace mfn::engine
