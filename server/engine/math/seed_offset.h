// A seed plus a small number: how series of simulations number their seeds.

#ifndef MFN_SERVER_ENGINE_MATH_SEED_OFFSET_H_
#define MFN_SERVER_ENGINE_MATH_SEED_OFFSET_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/engine/seed.h"

namespace mfn::engine {

// The exact sum; seeds have no upper limit, so it cannot overflow.
inline Seed OffsetSeed(const Seed& seed, uint64_t offset) {
  std::vector<uint32_t> limbs(seed.limbs().begin(), seed.limbs().end());
  for (size_t k = 0; offset != 0; ++k) {
    if (k == limbs.size()) limbs.push_back(0);
    const uint64_t sum = uint64_t{limbs[k]} + (offset & 0xffffffffu);
    limbs[k] = static_cast<uint32_t>(sum);
    offset = (offset >> 32) + (sum >> 32);
  }
  return Seed::FromLimbs(limbs);
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_SEED_OFFSET_H_
