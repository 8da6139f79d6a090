// Steps of a small grid by eighths, whose frames the features take in as they are made
// (kernel_simd.h, StepGridTapped).

#include <type_traits>
#include <variant>

#include "server/engine/lanes_simd.h"
#include "server/engine/stepper.h"

namespace mfn::engine {
// A unit of the tap is one row of vectors or two, and the grid is one block of an even number.
template <typename T>
bool Stepper<T>::HasEighths(const KernelParams& params) const {
  const size_t lanes = VectorLanes(T{0});
  return std::is_same_v<T, double> && HasBands(params) && params.turing_enabled &&
         !params.inhibitor_sees_new_activator && (n_ == kSumLeaf || n_ == kSumLeaf / 2) &&
         lanes <= 8 && n_ / lanes <= kMaxBlockRows;
}

// Of one array.
template <typename T>
void Stepper<T>::TurnEighths(bool back, const T* from, T* to) const {
  if constexpr (std::is_same_v<T, double>) {
    back ? EighthsToColumns(n_, from, to) : ColumnsToEighths(n_, from, to);
  }
}

template <typename T>
StepCounts Stepper<T>::StepTapped(const KernelParams& params, const std::optional<Spike>& spike,
                                  FeatureAccumulator* features) {
  StepCounts counts;
  if constexpr (std::is_same_v<T, double>) {
    std::optional<size_t> spiked;
    if (spike) spiked = Place(spike->row, spike->column);
    const double unspiked = spiked ? now_.field[*spiked] : 0.0;
    AddSpike(spike);
    const bool finite = params.Finite();
    const Reach expected = After(reach_, params, {&spike, 1}, kEpsilon<T>);
    const bool watch = !finite || !WithinLimits(expected, params);
    Reach seen = kNothingSeen;
    RowBlock<T> block;
    FillBlock(params, 0, Rows(), &block);
    alignas(kCacheLine) double tap[kSumLeaf * kTapVectors];
    if (!StepGridTapped(params, block, watch ? &seen : nullptr, tap) || !finite) {
      SettleRow(params, n_ * n_, next_.field, next_.activator, next_.inhibitor, &counts);
      TapSettled(block, tap);
    }
    if (spiked) now_.field[*spiked] = unspiked;
    if (features != nullptr) features->AddTapped(now_.field, next_.field, lanes_, spiked, tap);
    reach_ = !finite ? Reach() : watch ? Settled(seen, params) : expected;
    SwapStates(params);
  }
  return counts;
}

template bool Stepper<double>::HasEighths(const KernelParams&) const;
template bool Stepper<float>::HasEighths(const KernelParams&) const;
template void Stepper<double>::TurnEighths(bool, const double*, double*) const;
template void Stepper<float>::TurnEighths(bool, const float*, float*) const;
template StepCounts Stepper<double>::StepTapped(const KernelParams&, const std::optional<Spike>&,
                                                FeatureAccumulator*);
template StepCounts Stepper<float>::StepTapped(const KernelParams&, const std::optional<Spike>&,
                                               FeatureAccumulator*);

}  // namespace mfn::engine
