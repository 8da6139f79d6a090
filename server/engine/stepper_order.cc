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

template <typename T>
void Copy(size_t rows, size_t n, const T* from, T* to) {
  std::copy_n(from, rows * n, to);
}

}  // namespace

// Beyond the cache the rows of bands would be too long.
template <typename T>
bool Stepper<T>::HasBands(const KernelParams& params) const {
  const size_t lanes = VectorLanes(T{0});
  return lanes > 1 && Cached(n_) && n_ % kFeatureUnit == 0 && n_ / lanes >= 4 &&
         params.boundary == Boundary::kPeriodic && std::holds_alternative<Mfn>(params.kinetics);
}

// Whole vectors in a row: the last of a row that is not does some cells twice, which in place it
// cannot.
template <typename T>
bool Stepper<T>::CanBeCut() const {
  return !Wide() && n_ % VectorLanes(T{0}) == 0;
}

// Into how many strips the grid should be cut; 0: not. Steps in place cannot be undone: kinetics
// that may fail are taken step by step there, or else by tiles.
template <typename T>
size_t Stepper<T>::StripsFor(const KernelParams& params, const Team* team) const {
  if (room_ == 0 || !params.Finite()) return 0;
  const size_t members = team == nullptr ? 1 : team->members();
  if (params.boundary != Boundary::kPeriodic) return 1;
  if (std::holds_alternative<Mfn>(params.kinetics)) {
    return std::min(members, room_);
  }
  return members == 1 && n_ <= kCachedInPlace ? 1 : 0;
}

// All rows from where `from` has them to where `to` wants them: turn(rows, n, from, to) for some of
// an array at a time.
template <typename T>
template <typename From, typename To, typename Turn>
void Stepper<T>::MoveRows(const KernelParams& params, Team* team, const From& from, const To& to,
                          const Turn& turn) {
  const auto part = [&](size_t member, size_t members) {
    const size_t end = n_ * (member + 1) / members;
    for (size_t row = n_ * member / members, rows; row < end; row += rows) {
      rows = strips_.empty() ? end - row : std::min(end - row, strips_.RowsTogether(row));
      const Fields there = from(row), here = to(row);
      turn(rows, n_, there.field, here.field);
      if (!params.turing_enabled) continue;
      turn(rows, n_, there.activator, here.activator);
      turn(rows, n_, there.inhibitor, here.inhibitor);
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
  const size_t lanes = VectorLanes(T{0});
  const auto turn = [](size_t rows, size_t n, const T* from, T* to) {
    ColumnsToLanes(rows, n, from, to);
  };
  if (features) {
    if (!HasBands(params)) return;
    const bool eighths = HasEighths(params);
    if (eighths) {
      TurnGrid(params, [&](size_t, size_t, const T* at, T* to) { TurnEighths(false, at, to); });
    } else {
      TurnGrid(params, turn);
    }
    order_ = eighths ? CellOrder::kEighths : CellOrder::kBands;
    lanes_ = lanes;
    return;
  }
  if (HasLaneOrder(n_, lanes)) {
    order_ = CellOrder::kLanes;
    lanes_ = lanes;
  }
  const auto from = [&](size_t row) { return RowIn(now_, row); };
  const size_t strips = StripsFor(params, team);
  if (strips > 0) {
    strips_.Cut(n_, strips, next_, order_, lanes_);
    const auto to = [&](size_t row) { return strips_.Row(row); };
    order_ == CellOrder::kLanes ? MoveRows(params, team, from, to, turn)
                                : MoveRows(params, team, from, to, Copy<T>);
  } else if (order_ == CellOrder::kLanes) {
    MoveRows(
        params, team, from, [&](size_t row) { return RowIn(next_, row); }, turn);
    SwapStates(params);
  }
}

template <typename T>
void Stepper<T>::ArrangeByColumns(const KernelParams& params, Team* team) {
  const auto turn = [](size_t rows, size_t n, const T* from, T* to) {
    LanesToColumns(rows, n, from, to);
  };
  if (order_ == CellOrder::kEighths) {
    TurnGrid(params, [&](size_t, size_t, const T* at, T* to) { TurnEighths(true, at, to); });
  }
  if (order_ == CellOrder::kBands) TurnGrid(params, turn);
  if (!strips_.empty()) {
    const auto from = [&](size_t row) { return strips_.Row(row); };
    const auto to = [&](size_t row) { return RowIn(now_, row); };
    order_ == CellOrder::kLanes ? MoveRows(params, team, from, to, turn)
                                : MoveRows(params, team, from, to, Copy<T>);
    strips_.Clear();
    FillZeroRows();
  } else if (order_ == CellOrder::kLanes) {
    MoveRows(
        params, team, [&](size_t row) { return RowIn(now_, row); },
        [&](size_t row) { return RowIn(next_, row); }, turn);
    SwapStates(params);
  }
  order_ = CellOrder::kColumns;
  lanes_ = 1;
}

// Of a cell, in the order in which the state lies.
template <typename T>
size_t Stepper<T>::Place(size_t row, size_t column) const {
  if (order_ == CellOrder::kColumns) return row * n_ + column;
  if (ByBands()) {
    const size_t rows = n_ / lanes_;
    const size_t place =
        order_ == CellOrder::kEighths ? column % 8 * (n_ / 8) + column / 8 : column;
    return (row % rows * n_ + place) * lanes_ + row / rows;
  }
  const size_t part = n_ / lanes_;
  return row * n_ + column % part * lanes_ + column / part;
}

template bool Stepper<double>::CanBeCut() const;
template bool Stepper<float>::CanBeCut() const;
template void Stepper<double>::Arrange(const KernelParams&, int64_t, bool, Team*);
template void Stepper<float>::Arrange(const KernelParams&, int64_t, bool, Team*);
template void Stepper<double>::ArrangeByColumns(const KernelParams&, Team*);
template void Stepper<float>::ArrangeByColumns(const KernelParams&, Team*);
template bool Stepper<double>::HasBands(const KernelParams&) const;
template bool Stepper<float>::HasBands(const KernelParams&) const;
template size_t Stepper<double>::Place(size_t, size_t) const;
template size_t Stepper<float>::Place(size_t, size_t) const;

}  // namespace mfn::engine
