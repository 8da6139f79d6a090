#include "server/engine/reach.h"

#include <algorithm>
#include <variant>

namespace mfn::engine {
namespace {

bool IsMean(double diffusion) { return diffusion >= 0.0 && diffusion <= 0.25; }

// How much of a cell's value is found in any cell after a step, at most, on a grid of at least 2 x
// 2: in itself, with what a border gives back to a corner, or in a neighbour on two sides.
double LargestShare(const KernelParams& p) {
  return p.boundary == Boundary::kNeumann ? 1.0 - 2.0 * p.alpha
                                          : std::max(1.0 - 4.0 * p.alpha, 2.0 * p.alpha);
}

bool IsReference(const KernelParams& p) {
  return std::holds_alternative<Mfn>(p.kinetics) && IsMean(p.d_activator) &&
         IsMean(p.d_inhibitor) && p.r_activator >= 0.0 && p.r_inhibitor >= 0.0;
}

}  // namespace

Reach Union(const Reach& a, const Reach& b) {
  return {std::min(a.field_low, b.field_low), std::max(a.field_high, b.field_high),
          std::max(a.chemical_high, b.chemical_high)};
}

Reach After(const Reach& reach, const KernelParams& p, std::span<const std::optional<Spike>> spikes,
            double epsilon) {
  Reach r = reach;
  if (!IsMean(p.alpha)) r.field_low = Reach().field_low, r.field_high = Reach().field_high;
  if (!IsReference(p)) r.chemical_high = Reach().chemical_high;
  const double room = 16.0 * epsilon;
  for (const std::optional<Spike>& spike : spikes) {
    if (spike) {
      const double share = LargestShare(p) * spike->volt;
      r.field_low += std::min(share, 0.0);
      r.field_high += std::max(share, 0.0);
    }
    if (p.boundary == Boundary::kDirichlet) {
      r.field_low = std::min(r.field_low, 0.0);
      r.field_high = std::max(r.field_high, 0.0);
    }
    r.field_low -= room;
    r.field_high += room;
    const double activator = r.chemical_high + 0.25 * p.r_activator;
    const double inhibitor = r.chemical_high + p.r_inhibitor * activator;
    r.chemical_high = std::max({activator, inhibitor, 0.0}) + room;
  }
  return r;
}

bool WithinLimits(const Reach& r, const KernelParams& p) {
  const bool field = p.quantum_jitter || (r.field_low >= kFieldMinV && r.field_high <= kFieldMaxV);
  return field &&
         (!p.turing_enabled || r.chemical_high <= std::min(p.turing_threshold, kChemicalMax));
}

Reach Settled(const Reach& reach, const KernelParams& p) {
  if (p.quantum_jitter)
    return {kFieldMinV, kFieldMaxV, std::min(reach.chemical_high, kChemicalMax)};
  return {std::clamp(reach.field_low, kFieldMinV, kFieldMaxV),
          std::clamp(reach.field_high + kTuringIncrementV, kFieldMinV, kFieldMaxV),
          std::clamp(reach.chemical_high, 0.0, kChemicalMax)};
}

}  // namespace mfn::engine
