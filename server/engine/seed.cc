// Reading and printing seeds of any size.

#include "server/engine/seed.h"

#include <algorithm>
#include <array>
#include <random>

namespace mfn::engine {
namespace {

constexpr uint32_t kBase = 1'000'000'000;  // nine decimal digits at a time
constexpr size_t kBaseDigits = 9;

// limbs = limbs * factor + addend
void MultiplyAdd(std::vector<uint32_t>& limbs, uint32_t factor, uint32_t addend) {
  uint64_t carry = addend;
  for (uint32_t& limb : limbs) {
    carry += static_cast<uint64_t>(limb) * factor;
    limb = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
}

// limbs = limbs / kBase; returns the remainder.
uint32_t DivideByBase(std::vector<uint32_t>& limbs) {
  uint64_t rest = 0;
  for (size_t k = limbs.size(); k-- > 0;) {
    rest = (rest << 32) | limbs[k];
    limbs[k] = static_cast<uint32_t>(rest / kBase);
    rest %= kBase;
  }
  while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
  return static_cast<uint32_t>(rest);
}

}  // namespace

Seed::Seed(uint64_t value) {
  for (; value != 0; value >>= 32) limbs_.push_back(static_cast<uint32_t>(value));
}

Expected<Seed> Seed::FromDecimal(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() > 1 && text[0] == '-' && std::all_of(text.begin() + 1, text.end(), is_digit)) {
    return InvalidArgument("seed", "seed is negative, must be a non-negative integer");
  }
  if (text.size() > kMaxSeedDigits) {
    return InvalidArgument("seed", "seed has " + std::to_string(text.size()) + " digits, at most " +
                                       std::to_string(kMaxSeedDigits) + " are accepted");
  }
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) {
    return InvalidArgument("seed", "seed must be a non-negative integer in decimal digits");
  }
  Seed seed;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, kBaseDigits);
    text.remove_prefix(part.size());
    uint32_t scale = 1;
    uint32_t digits = 0;
    for (char c : part) {
      scale *= 10;
      digits = digits * 10 + static_cast<uint32_t>(c - '0');
    }
    MultiplyAdd(seed.limbs_, scale, digits);
  }
  return seed;
}

Seed Seed::FromLimbs(std::span<const uint32_t> limbs) {
  Seed seed;
  seed.limbs_.assign(limbs.begin(), limbs.end());
  while (!seed.limbs_.empty() && seed.limbs_.back() == 0) seed.limbs_.pop_back();
  return seed;
}

std::string Seed::ToString() const {
  if (limbs_.empty()) return "0";
  std::vector<uint32_t> limbs = limbs_;
  std::string reversed;
  while (!limbs.empty()) {
    uint32_t part = DivideByBase(limbs);
    for (size_t k = 0; k < kBaseDigits && (part != 0 || !limbs.empty()); ++k, part /= 10) {
      reversed.push_back(static_cast<char>('0' + part % 10));
    }
  }
  return std::string(reversed.rbegin(), reversed.rend());
}

Seed RandomSeed() {
  std::random_device device;
  const std::array<uint32_t, 4> limbs = {device(), device(), device(), device()};
  return Seed::FromLimbs(limbs);
}

}  // namespace mfn::engine
