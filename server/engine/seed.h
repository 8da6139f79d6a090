// The seed of a random number generator: a non-negative integer of any size (numeric model,
// section 2).

#ifndef MFN_SERVER_ENGINE_SEED_H_
#define MFN_SERVER_ENGINE_SEED_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/engine/error.h"

namespace mfn::engine {

// Decimal text longer than this is refused, since reading it takes quadratic time.
inline constexpr size_t kMaxSeedDigits = 4096;

// An immutable value type; safe to share between threads.
class Seed {
 public:
  Seed() = default;  // zero
  explicit Seed(uint64_t value);

  // From decimal digits, leading zeros allowed. A sign, blanks, an empty text or more than
  // kMaxSeedDigits digits are kInvalidArgument on field "seed".
  static Expected<Seed> FromDecimal(std::string_view text);
  // From 32-bit limbs, least significant first; leading zero limbs are dropped.
  static Seed FromLimbs(std::span<const uint32_t> limbs);

  std::string ToString() const;  // decimal
  // Least significant first, no leading zero limbs; zero has no limb at all.
  std::span<const uint32_t> limbs() const { return limbs_; }
  bool operator==(const Seed& other) const = default;

 private:
  std::vector<uint32_t> limbs_;
};

// 128 bits from the operating system. A run without a seed draws one of these and reports it, so
// that the run can be repeated.
Seed RandomSeed();

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_SEED_H_
