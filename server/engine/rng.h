// The random number generator of the numeric model: PCG64 behind SeedSequence, with the draws of
// NumPy's Generator, bit for bit (section 2).

#ifndef MFN_SERVER_ENGINE_RNG_H_
#define MFN_SERVER_ENGINE_RNG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "server/engine/seed.h"

namespace mfn::engine {

__extension__ typedef unsigned __int128 Uint128;

// SeedSequence (section 2.1): the mixed pool and the words that seed the generator.
struct SeedExpansion {
  std::array<uint32_t, 4> pool;
  std::array<uint64_t, 4> words;
};
SeedExpansion ExpandSeed(const Seed& seed);

// One stream of random numbers. Not safe for use by two threads at once; copying forks the stream.
//
// Draws consume whole 64-bit words, except the bounded integers with n <= 2^32, which consume
// 32-bit halves: the second half of a word stays buffered until the next such draw.
class Generator {
 public:
  static constexpr Uint128 kMultiplier =
      (static_cast<Uint128>(0x2360ED051FC65DA4) << 64) | 0x4385DF649FCCF645;

  explicit Generator(const Seed& seed);
  explicit Generator(uint64_t seed) : Generator(Seed(seed)) {}
  // One that goes on where another was; `inc` must be odd.
  struct State {
    Uint128 state = 0;
    Uint128 inc = 1;
    std::optional<uint32_t> buffered;
  };
  explicit Generator(const State& from)
      : state_(from.state),
        inc_(from.inc),
        has_uint32_(from.buffered.has_value()),
        uinteger_(from.buffered.value_or(0)) {}

  uint64_t Next64() {
    state_ = state_ * kMultiplier + inc_;
    const uint64_t high = static_cast<uint64_t>(state_ >> 64);
    const uint64_t mixed = high ^ static_cast<uint64_t>(state_);
    const unsigned turn = static_cast<unsigned>(high >> 58);
    return (mixed >> turn) | (mixed << ((64 - turn) & 63));
  }
  uint32_t Next32();
  // Leaves out so many words of Next64.
  void Skip(uint64_t words);

  // random(): in [0, 1), 53 bits.
  double Random() { return static_cast<double>(Next64() >> 11) * 0x1.0p-53; }
  // uniform(lo, hi): lo + (hi - lo) * random().
  double Uniform(double lo, double hi) {
    const double width = hi - lo;
    return lo + width * Random();
  }
  // standard_normal(): 256-layer ziggurat (section 2.4).
  double StandardNormal();
  // normal(loc, scale): loc + scale * standard_normal().
  double Normal(double loc, double scale) { return loc + scale * StandardNormal(); }
  // integers(0, n): in [0, n). n >= 1; n = 1 (and, defensively, 0) returns 0 and draws nothing.
  uint64_t Integers(uint64_t n);
  // integers(lo, hi): in [lo, hi), lo < hi.
  int64_t Integers(int64_t lo, int64_t hi) {
    const uint64_t width = static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo);
    return static_cast<int64_t>(static_cast<uint64_t>(lo) + Integers(width));
  }
  // choice(n, k, replace=False): k distinct values of [0, n), in NumPy's order. k > n is cut to n.
  std::vector<uint64_t> ChoiceWithoutReplacement(uint64_t n, uint64_t k);

  // Array forms, element after element: the same values as as many scalar calls.
  void FillRandom(std::span<double> out);
  void FillUniform(std::span<double> out, double lo, double hi);
  void FillStandardNormal(std::span<double> out);
  void FillNormal(std::span<double> out, double loc, double scale);
  void FillIntegers(std::span<uint64_t> out, uint64_t n);

  // The whole state: two equal generators give the same stream for ever.
  Uint128 state() const { return state_; }
  Uint128 inc() const { return inc_; }
  bool has_uint32() const { return has_uint32_; }
  // The buffered half; meaningless unless has_uint32().
  uint32_t uinteger() const { return uinteger_; }
  bool operator==(const Generator& other) const;

 private:
  // A normal whose first word is `word`; next() gives the words after it.
  template <typename Next>
  static double NormalFrom(uint64_t word, const Next& next);
  template <typename Next>
  static double NormalTail(uint64_t rabs, const Next& next);

  Uint128 state_ = 0;
  Uint128 inc_ = 0;
  bool has_uint32_ = false;
  uint32_t uinteger_ = 0;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_RNG_H_
