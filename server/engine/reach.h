// How far the values of a state can move in some steps, so that the step kernel need not look
// whether each stays inside the limits. Internal to the engine.
//
// Diffusion makes of a value a mean of its neighbours' (weights from 0 to 1 as long as its number
// is at most 1/4), which lies between the least and the greatest of them; a spike adds to one cell,
// and no cell of the next state has more of it than its largest weight there;
// and the reference's chemistry, with both species at least 0, raises the activator by at most a
// quarter of its rate and the inhibitor by at most its rate times the activator. Everything that is
// rounded is given room. Where this does not hold (other kinetics, other parameters) nothing is
// known, and the kernel looks.

#ifndef MFN_SERVER_ENGINE_REACH_H_
#define MFN_SERVER_ENGINE_REACH_H_

#include <cstddef>
#include <limits>
#include <optional>
#include <span>

#include "server/engine/kernel.h"

namespace mfn::engine {

// Values that no cell lies beyond; to begin with, nothing is known.
struct Reach {
  double field_low = -std::numeric_limits<double>::infinity();  // volt
  double field_high = std::numeric_limits<double>::infinity();
  double chemical_high = std::numeric_limits<double>::infinity();  // of both species
};

inline constexpr Reach kNothingSeen = {std::numeric_limits<double>::infinity(),
                                       -std::numeric_limits<double>::infinity(),
                                       -std::numeric_limits<double>::infinity()};

Reach Union(const Reach& a, const Reach& b);

// How exact a T of about 1 is.
template <typename T>
constexpr double kEpsilon = static_cast<double>(std::numeric_limits<T>::epsilon());

// After one step for each of `spikes` on a grid of at least 2 x 2, the values of which are rounded
// to a precision of `epsilon` (of 1).
Reach After(const Reach& reach, const KernelParams& params,
            std::span<const std::optional<Spike>> spikes, double epsilon);

// No cell reaches the threshold, and none would be clamped but for being negative.
bool WithinLimits(const Reach& reach, const KernelParams& params);

// What is left of it after threshold and clamps.
Reach Settled(const Reach& reach, const KernelParams& params);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_REACH_H_
