// Reading golden vectors, and a small SHA-256 (FIPS 180-4) for their digests.

#include "server/engine/golden_test_util.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

namespace mfn::engine {
namespace {

// Integers and everything formed with the model's sums must match in every bit.
bool IsExact(std::string_view name) {
  return name != "D_box" && name != "D_r2" && name != "V_skew" && name != "V_kurt" &&
         name != "E_trend";
}

constexpr std::array<uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void AddBlock(const uint8_t* block, std::array<uint32_t, 8>& h) {
  std::array<uint32_t, 64> w;
  for (size_t t = 0; t < 16; ++t) {
    w[t] = 0;
    for (size_t k = 0; k < 4; ++k) w[t] = w[t] << 8 | block[4 * t + k];
  }
  for (size_t t = 16; t < 64; ++t) {
    const uint32_t a = w[t - 15];
    const uint32_t b = w[t - 2];
    w[t] = w[t - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) + w[t - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
  }
  std::array<uint32_t, 8> s = h;
  for (size_t t = 0; t < 64; ++t) {
    const uint32_t e = s[4];
    const uint32_t a = s[0];
    const uint32_t t1 = s[7] + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                        ((e & s[5]) ^ (~e & s[6])) + kRound[t] + w[t];
    const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
                        ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
  }
  for (size_t k = 0; k < 8; ++k) h[k] += s[k];
}

}  // namespace

std::string Sha256(std::span<const std::byte> bytes) {
  std::array<uint32_t, 8> h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t whole = bytes.size() / 64 * 64;
  for (size_t k = 0; k < whole; k += 64) AddBlock(data + k, h);
  std::array<uint8_t, 128> tail{};
  std::copy(data + whole, data + bytes.size(), tail.begin());
  tail[bytes.size() - whole] = 0x80;
  const size_t tail_size = bytes.size() - whole < 56 ? 64 : 128;
  const uint64_t bits = static_cast<uint64_t>(bytes.size()) * 8;
  for (size_t k = 0; k < 8; ++k) tail[tail_size - 1 - k] = static_cast<uint8_t>(bits >> (8 * k));
  for (size_t k = 0; k < tail_size; k += 64) AddBlock(tail.data() + k, h);
  std::string hex;
  for (uint32_t word : h) {
    char text[9];
    std::snprintf(text, sizeof text, "%08x", word);
    hex += text;
  }
  return hex;
}

nlohmann::json LoadGolden(const std::string& file) {
  const std::string path = std::string(MFN_GOLDEN_DIR) + "/" + file;
  std::ifstream in(path);
  nlohmann::json json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_discarded()) return json;
  std::fprintf(stderr, "cannot read golden vectors from %s\n", path.c_str());
  std::abort();
}

std::vector<nlohmann::json> GoldenCases(const std::string& file, const std::string& key) {
  const nlohmann::json golden = LoadGolden(file);
  const auto list = golden.find(key);
  std::vector<nlohmann::json> cases;
  if (list != golden.end()) cases.assign(list->begin(), list->end());
  EXPECT_FALSE(cases.empty()) << file << " has nothing under " << key;
  return cases;
}

double GoldenNumber(const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();
  return std::strtod(value.get<std::string>().c_str(), nullptr);
}

std::vector<double> GoldenNumbers(const nlohmann::json& values) {
  std::vector<double> out;
  for (const auto& value : values) out.push_back(GoldenNumber(value));
  return out;
}

uint64_t GoldenHex(const nlohmann::json& value) {
  return std::strtoull(value.get<std::string>().c_str(), nullptr, 16);
}

Seed GoldenSeed(const nlohmann::json& value) {
  auto seed = Seed::FromDecimal(value.is_string() ? value.get<std::string>() : value.dump());
  EXPECT_TRUE(seed.ok()) << value;
  return seed.ok() ? *seed : Seed();
}

void ReadConfig(const nlohmann::json& config, SimulationConfig* out) {
  const std::map<std::string, double*> reals = {{"alpha", &out->alpha},
                                                {"spike_probability", &out->spike_probability},
                                                {"turing_threshold", &out->turing_threshold},
                                                {"jitter_var", &out->jitter_var},
                                                {"d_activator", &out->d_activator},
                                                {"d_inhibitor", &out->d_inhibitor},
                                                {"r_activator", &out->r_activator},
                                                {"r_inhibitor", &out->r_inhibitor}};
  for (const auto& [key, value] : config.items()) {
    if (const auto real = reals.find(key); real != reals.end()) {
      *real->second = GoldenNumber(value);
    } else if (key == "grid_size" || key == "steps") {
      (key == "steps" ? out->steps : out->grid_size) = value;
    } else if (key == "turing_enabled" || key == "quantum_jitter") {
      (key == "turing_enabled" ? out->turing_enabled : out->quantum_jitter) = value;
    } else if (key == "boundary_condition") {
      out->boundary = *ParseBoundary(value.get<std::string>());
    } else if (key == "seed" || key == "random_seed") {
      out->seed = GoldenSeed(value);
    } else {
      ADD_FAILURE() << "golden configuration has an unknown key " << key;
    }
  }
}

FeatureConfig ReadFeatureConfig(const nlohmann::json& config) {
  FeatureConfig out;
  const std::map<std::string, int64_t*> integers = {{"min_box_size", &out.min_box_size},
                                                    {"num_scales", &out.num_scales},
                                                    {"stability_window", &out.stability_window},
                                                    {"connectivity", &out.connectivity}};
  for (const auto& [key, value] : config.items()) {
    if (const auto integer = integers.find(key); integer != integers.end()) {
      *integer->second = value;
    } else if (key == "max_box_size") {
      out.max_box_size = value.get<int64_t>();
    } else {
      ADD_FAILURE() << "golden feature configuration has an unknown key " << key;
    }
  }
  return out;
}

void ExpectFeatures(const Features& actual, const nlohmann::json& expected, double max_energy) {
  const auto values = actual.ToArray();
  for (size_t k = 0; k < kFeatureCount; ++k) {
    const std::string name(kFeatureNames[k]);
    const double want = GoldenNumber(expected.at(name));
    if (IsExact(name)) {
      EXPECT_EQ(values[k], want) << name;
    } else if (name == "E_trend") {
      EXPECT_NEAR(values[k], want, 1e-9 * std::fabs(want) + 1e-13 * max_energy) << name;
    } else if (name != "D_r2" || actual.d_box != 0.0) {
      // With equal counts (dimension 0) the reference's D_r2 is noise.
      EXPECT_NEAR(values[k], want, 1e-9 * std::max(1.0, std::fabs(want))) << name;
    }
  }
}

}  // namespace mfn::engine
