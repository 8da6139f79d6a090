// Many random numbers at once: the words of PCG64 by jumping ahead, and the fast path of the
// ziggurat in vectors (numeric model, section 2). Internal to the engine: rng.h is the door.

#ifndef MFN_SERVER_ENGINE_RNG_SIMD_H_
#define MFN_SERVER_ENGINE_RNG_SIMD_H_

#include <cstddef>
#include <cstdint>

#include "server/engine/rng.h"

namespace mfn::engine {

// Consecutive outputs of a generator, before their last operation: word k is `mixed[k]` rotated
// right by the six highest bits of `high[k]`.
struct RawWords {
  static constexpr size_t kCapacity = 512;
  size_t count = 0;
  uint64_t mixed[kCapacity];
  uint64_t high[kCapacity];

  uint64_t Word(size_t k) const {
    const unsigned turn = static_cast<unsigned>(high[k] >> 58);
    return (mixed[k] >> turn) | (mixed[k] << ((64 - turn) & 63));
  }
};

// The next `count` words, at most kCapacity; *state becomes that after the last of them.
void DrawWords(Uint128* state, Uint128 inc, size_t count, RawWords* words);

// out[k] = loc + scale * standard_normal from words at, at + 1, ... up to the first one that the
// fast path does not accept. Returns how many there were. `out` has room for words.count - at.
size_t NormalsFromWords(const RawWords& words, size_t at, double loc, double scale, double* out);

// out[k] = lo + width * random() from all the words.
void UniformsFromWords(const RawWords& words, double lo, double width, double* out);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_RNG_SIMD_H_
