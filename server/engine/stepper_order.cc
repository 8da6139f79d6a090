// The order in which a stepper's cells lie (lanes_simd.h): turned before many steps, and back.

#include <algorithm>
#include <array>
#include <variant>

#include "server/engine/lanes_simd.h"
#include "server/engine/stepper.h"

namespace mfn::engine {
namespace {

// Steps for which another order of the cells pays.
constexpr int64_t kManySteps = 24;
// With features a frame must be whole leaves of the sums in every band.
constexpr size_t kFeatureUnit = 64;

}  // namespace

// Beyond the cache the rows of bands would be too long.
template <typename T>
bool Stepper<T>::HasBands(const KernelParams& params) const {
  const size_t lanes = VectorLanes(T{0});
  return lanes > 1 && Cached(n_) && n_ % kFeatureUnit == 0 && n_ / lanes >= 4 &&
         params.boundary == Boundary::kPeriodic && std::holds_alternative<Mfn>(params.kinetics);
}

// turn(rows, n, from, to) for all rows, in place, some at a time by way of a copy of them.
template <typename T>
template <typename Turn>
void Stepper<T>::TurnRows(const KernelParams& params, Team* team, const Turn& turn) {
  T* const arrays[] = {now_.field, now_.activator, now_.inhibitor};
  const size_t at_once = kLongRow / n_;
  const auto part = [&](size_t member, size_t members) {
    std::array<T, kLongRow> copy;
    const size_t end = n_ * (member + 1) / members;
    for (size_t row = n_ * member / members; row < end; row += at_once) {
      const size_t rows = std::min(at_once, end - row);
      for (size_t k = 0; k < (params.turing_enabled ? 3 : 1); ++k) {
        T* const at = arrays[k] + row * n_;
        std::copy_n(at, rows * n_, copy.data());
        turn(rows, n_, copy.data(), at);
      }
    }
  };
  if (team == nullptr) return part(0, 1);
  team->Run([&](size_t member) { part(member, team->members()); });
}

template <typename T>
template <typename Turn>
void Stepper<T>::TurnGrid(const KernelParams& params, const Turn& turn) {
  turn(1, n_ * n_, now_.field, next_.field);
  if (params.turing_enabled) {
    turn(1, n_ * n_, now_.activator, next_.activator);
    turn(1, n_ * n_, now_.inhibitor, next_.inhibitor);
  }
  SwapStates(params);
}

template <typename T>
void Stepper<T>::Arrange(const KernelParams& params, int64_t steps, bool features, Team* team) {
  if (steps < kManySteps || Wide() || params.quantum_jitter) return;
  const auto turn = [](size_t rows, size_t n, const T* from, T* to) {
    ColumnsToLanes(rows, n, from, to);
  };
  if (features && HasBands(params)) {
    TurnGrid(params, turn);
    order_ = CellOrder::kBands;
    lanes_ = VectorLanes(T{0});
  } else if (!features && HasLaneOrder(n_, VectorLanes(T{0}))) {
    TurnRows(params, team, turn);
    order_ = CellOrder::kLanes;
    lanes_ = VectorLanes(T{0});
  }
}

template <typename T>
void Stepper<T>::ArrangeByColumns(const KernelParams& params, Team* team) {
  const auto turn = [](size_t rows, size_t n, const T* from, T* to) {
    LanesToColumns(rows, n, from, to);
  };
  if (order_ == CellOrder::kBands) TurnGrid(params, turn);
  if (order_ == CellOrder::kLanes) TurnRows(params, team, turn);
  order_ = CellOrder::kColumns;
  lanes_ = 1;
}

// Of a cell, in the order in which the state lies.
template <typename T>
size_t Stepper<T>::Place(size_t row, size_t column) const {
  if (order_ == CellOrder::kColumns) return row * n_ + column;
  if (order_ == CellOrder::kBands) {
    const size_t rows = n_ / lanes_;
    return (row % rows * n_ + column) * lanes_ + row / rows;
  }
  const size_t part = n_ / lanes_;
  return row * n_ + column % part * lanes_ + column / part;
}

template void Stepper<double>::Arrange(const KernelParams&, int64_t, bool, Team*);
template void Stepper<float>::Arrange(const KernelParams&, int64_t, bool, Team*);
template void Stepper<double>::ArrangeByColumns(const KernelParams&, Team*);
template void Stepper<float>::ArrangeByColumns(const KernelParams&, Team*);
template size_t Stepper<double>::Place(size_t, size_t) const;
template size_t Stepper<float>::Place(size_t, size_t) const;

}  // namespace mfn::engine
