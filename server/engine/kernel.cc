#include "server/engine/kernel.h"

namespace mfn::engine {

std::optional<Spike> DrawSpike(double probability, size_t n, Generator& generator) {
  if (!(generator.Random() < probability)) return std::nullopt;
  Spike spike;
  spike.row = generator.Integers(n);
  spike.column = generator.Integers(n);
  spike.volt = generator.Normal(kSpikeMeanV, kSpikeSdV);
  return spike;
}

}  // namespace mfn::engine
