// One step: the spike, then the vector kernel; with jitter the clamp comes after the noise.

#include "server/engine/kernel.h"

#include "server/engine/kernel_simd.h"

namespace mfn::engine {
namespace {

// NaN stays NaN; comparisons with equality, as in the vector kernel.
double Clamp(double x, double lo, double hi) {
  const double y = x <= lo ? lo : x;
  return y >= hi ? hi : y;
}

// A NaN differs from itself, so it counts as clamped, as in the reference.
void AddJitterAndClamp(double sd, size_t cells, double* __restrict v, Generator& generator,
                       StepCounts& counts) {
  for (size_t k = 0; k < cells; ++k) {
    const double x = v[k] + generator.Normal(0.0, sd);
    const double w = Clamp(x, kFieldMinV, kFieldMaxV);
    counts.clamping_events += w != x ? 1 : 0;
    counts.field_nan += w != w ? 1 : 0;
    v[k] = w;
  }
}

}  // namespace

bool AddSpike(double probability, size_t n, double* field, Generator& generator) {
  if (!(generator.Random() < probability)) return false;
  const size_t i = generator.Integers(n);
  const size_t j = generator.Integers(n);
  field[i * n + j] += generator.Normal(kSpikeMeanV, kSpikeSdV);
  return true;
}

StepCounts StepField(const KernelParams& params, const KernelState& state, Generator& generator) {
  StepCounts counts = StepFieldSimd(params, state);
  if (params.quantum_jitter) {
    AddJitterAndClamp(params.jitter_sd, state.n * state.n, state.next_field, generator, counts);
  }
  return counts;
}

}  // namespace mfn::engine
