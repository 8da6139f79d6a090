// PCG64, SeedSequence and NumPy's distributions (numeric model, section 2).

#include "server/engine/rng.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "server/engine/rng_simd.h"
#include "server/engine/ziggurat_tables.h"

namespace mfn::engine {
namespace {

constexpr double kTailStart = 3.6541528853610087963519472518;     // r0
constexpr double kInverseTail = 0.27366123732975827203338247596;  // 1 / r0

double RandomFrom(uint64_t word) { return static_cast<double>(word >> 11) * 0x1.0p-53; }

// hashmix(): one running constant is shared by all calls while a pool is filled.
class HashMix {
 public:
  HashMix(uint32_t start, uint32_t multiplier) : h_(start), multiplier_(multiplier) {}

  uint32_t operator()(uint32_t value) {
    value ^= h_;
    h_ *= multiplier_;
    value *= h_;
    return value ^ (value >> 16);
  }

 private:
  uint32_t h_;
  uint32_t multiplier_;
};

uint32_t Mix(uint32_t x, uint32_t y) {
  const uint32_t r = 0xca01f9ddu * x - 0x4973f715u * y;
  return r ^ (r >> 16);
}

std::vector<uint64_t> ChoiceByTailShuffle(Generator& generator, uint64_t n, uint64_t k) {
  std::vector<uint64_t> all(n);
  std::iota(all.begin(), all.end(), 0);
  const uint64_t last = std::max<uint64_t>(n - k, 1);
  for (uint64_t i = n - 1; i >= last; --i) {
    std::swap(all[i], all[generator.Integers(i + 1)]);
  }
  return std::vector<uint64_t>(all.end() - static_cast<std::ptrdiff_t>(k), all.end());
}

std::vector<uint64_t> ChoiceByFloyd(Generator& generator, uint64_t n, uint64_t k) {
  std::vector<uint64_t> chosen;
  chosen.reserve(k);
  std::unordered_set<uint64_t> seen;
  for (uint64_t j = n - k; j < n; ++j) {
    const uint64_t drawn = generator.Integers(j + 1);
    const uint64_t value = seen.insert(drawn).second ? drawn : j;
    seen.insert(value);
    chosen.push_back(value);
  }
  for (uint64_t i = k; i-- > 1;) std::swap(chosen[i], chosen[generator.Integers(i + 1)]);
  return chosen;
}

}  // namespace

SeedExpansion ExpandSeed(const Seed& seed) {
  const std::span<const uint32_t> entropy = seed.limbs();
  SeedExpansion out;
  HashMix hash(0x43b0d7e5, 0x931e8875);
  for (size_t k = 0; k < 4; ++k) out.pool[k] = hash(k < entropy.size() ? entropy[k] : 0);
  for (size_t src = 0; src < 4; ++src) {
    for (size_t dst = 0; dst < 4; ++dst) {
      if (src != dst) out.pool[dst] = Mix(out.pool[dst], hash(out.pool[src]));
    }
  }
  for (size_t k = 4; k < entropy.size(); ++k) {
    for (uint32_t& word : out.pool) word = Mix(word, hash(entropy[k]));
  }
  HashMix finish(0x8b51f9dd, 0x58f38ded);
  for (size_t m = 0; m < 4; ++m) {
    const uint64_t low = finish(out.pool[(2 * m) % 4]);
    const uint64_t high = finish(out.pool[(2 * m + 1) % 4]);
    out.words[m] = low | (high << 32);
  }
  return out;
}

Generator::Generator(const Seed& seed) {
  const auto words = ExpandSeed(seed).words;
  const Uint128 init_state = (static_cast<Uint128>(words[0]) << 64) | words[1];
  const Uint128 init_seq = (static_cast<Uint128>(words[2]) << 64) | words[3];
  inc_ = (init_seq << 1) | 1;
  state_ = (inc_ + init_state) * kMultiplier + inc_;
}

uint32_t Generator::Next32() {
  if (has_uint32_) {
    has_uint32_ = false;
    return uinteger_;
  }
  const uint64_t word = Next64();
  has_uint32_ = true;
  uinteger_ = static_cast<uint32_t>(word >> 32);
  return static_cast<uint32_t>(word);
}

// The step is x -> m * x + a, and so is every number of steps: those for the powers of two are made
// by doubling. (F. Brown, Random number generation with arbitrary strides, 1994.)
void Generator::Skip(uint64_t words) {
  Uint128 m = kMultiplier, a = inc_;
  for (; words > 0; words >>= 1) {
    if ((words & 1) != 0) state_ = m * state_ + a;
    a = (m + 1) * a;
    m *= m;
  }
}

double Generator::StandardNormal() {
  return NormalFrom(Next64(), [this] { return Next64(); });
}

template <typename Next>
double Generator::NormalFrom(uint64_t word, const Next& next) {
  for (;; word = next()) {
    const size_t layer = word & 0xff;
    const uint64_t rabs = (word >> 9) & 0x000fffffffffffff;
    const double size = static_cast<double>(rabs) * kZigguratWi[layer];
    // Which half is a coin toss: no branch could predict it.
    const double x = std::bit_cast<double>(std::bit_cast<uint64_t>(size) ^ (word >> 8 & 1) << 63);
    if (rabs < kZigguratKi[layer]) return x;
    if (layer == 0) return NormalTail(rabs, next);
    const double height = kZigguratFi[layer - 1] - kZigguratFi[layer];
    if (height * RandomFrom(next()) + kZigguratFi[layer] < std::exp((-0.5 * x) * x)) return x;
  }
}

// The sign of a tail value is bit 8 of rabs, not the sign bit of the word.
template <typename Next>
double Generator::NormalTail(uint64_t rabs, const Next& next) {
  for (;;) {
    const double xx = -kInverseTail * std::log1p(-RandomFrom(next()));
    const double yy = -std::log1p(-RandomFrom(next()));
    if (yy + yy > xx * xx) {
      return ((rabs >> 8) & 1) != 0 ? -(kTailStart + xx) : kTailStart + xx;
    }
  }
}

// Lemire's method. The rejection threshold is only computed when it can matter.
uint64_t Generator::Integers(uint64_t n) {
  if (n <= 1) return 0;
  if (n == (uint64_t{1} << 32)) return Next32();
  if (n < (uint64_t{1} << 32)) {
    const uint32_t e = static_cast<uint32_t>(n);
    uint64_t m = static_cast<uint64_t>(Next32()) * e;
    if (static_cast<uint32_t>(m) < e) {
      const uint32_t threshold = (0u - e) % e;
      while (static_cast<uint32_t>(m) < threshold) m = static_cast<uint64_t>(Next32()) * e;
    }
    return m >> 32;
  }
  Uint128 m = static_cast<Uint128>(Next64()) * n;
  if (static_cast<uint64_t>(m) < n) {
    const uint64_t threshold = (0 - n) % n;
    while (static_cast<uint64_t>(m) < threshold) m = static_cast<Uint128>(Next64()) * n;
  }
  return static_cast<uint64_t>(m >> 64);
}

std::vector<uint64_t> Generator::ChoiceWithoutReplacement(uint64_t n, uint64_t k) {
  k = std::min(n, k);
  if (k == 0) return {};
  if (n > 10000 && k > n / 50) return ChoiceByTailShuffle(*this, n, k);
  return ChoiceByFloyd(*this, n, k);
}

void Generator::FillRandom(std::span<double> out) { FillUniform(out, 0.0, 1.0); }

void Generator::FillUniform(std::span<double> out, double lo, double hi) {
  RawWords words;
  for (size_t k = 0; k < out.size(); k += words.count) {
    DrawWords(&state_, inc_, std::min(out.size() - k, RawWords::kCapacity), &words);
    UniformsFromWords(words, lo, hi - lo, out.data() + k);
  }
}

void Generator::FillStandardNormal(std::span<double> out) {
  FillNormal(out, -0.0, 1.0);  // which changes no value, not even -0.0
}

// Every value takes at least one word, so words for the values that are missing are never too many.
void Generator::FillNormal(std::span<double> out, double loc, double scale) {
  RawWords words;
  for (size_t k = 0; k < out.size();) {
    DrawWords(&state_, inc_, std::min(out.size() - k, RawWords::kCapacity), &words);
    size_t at = 0;
    const auto next = [this, &words, &at] {
      return at < words.count ? words.Word(at++) : Next64();
    };
    while (true) {
      const size_t accepted = NormalsFromWords(words, at, loc, scale, out.data() + k);
      k += accepted;
      at += accepted;
      if (at == words.count) break;
      out[k++] = loc + scale * NormalFrom(next(), next);
    }
  }
}

void Generator::FillIntegers(std::span<uint64_t> out, uint64_t n) {
  for (uint64_t& value : out) value = Integers(n);
}

bool Generator::operator==(const Generator& other) const {
  return state_ == other.state_ && inc_ == other.inc_ && has_uint32_ == other.has_uint32_ &&
         (!has_uint32_ || uinteger_ == other.uinteger_);
}

}  // namespace mfn::engine
