// What the engine's tests share: the golden vectors (tests/golden, described in its README), their
// number formats, digests, and comparison of bits.

#ifndef MFN_SERVER_ENGINE_GOLDEN_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_GOLDEN_TEST_UTIL_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "server/engine/config.h"
#include "server/engine/features.h"

namespace mfn::engine {

// A whole golden file, "sim.json". Aborts with a message if it cannot be read.
nlohmann::json LoadGolden(const std::string& file);
// The list under `key`, by value so that it can be ranged over; fails the running test if it is
// empty, since a loop over nothing proves nothing.
std::vector<nlohmann::json> GoldenCases(const std::string& file, const std::string& key = "cases");

// A JSON number, a C hex float, or "nan", "inf", "-inf".
double GoldenNumber(const nlohmann::json& value);
std::vector<double> GoldenNumbers(const nlohmann::json& values);
// "0x..." of up to 64 bits.
uint64_t GoldenHex(const nlohmann::json& value);
// A seed, a decimal string.
Seed GoldenSeed(const nlohmann::json& value);

// Overwrites what `config` has; understands the spelling of sim.json and of engine.json.
void ReadConfig(const nlohmann::json& config, SimulationConfig* out);
FeatureConfig ReadFeatureConfig(const nlohmann::json& config);

// SHA-256 in lower-case hex. Numbers are digested as little-endian arrays.
std::string Sha256(std::span<const std::byte> bytes);
template <typename Number>
std::string DigestOf(std::span<const Number> values) {
  return Sha256(std::as_bytes(values));
}
inline std::string DigestOf(const std::vector<double>& values) {
  return DigestOf(std::span<const double>(values));
}

// Fails the running test unless every feature is within its tolerance of section 5. An expected
// D_r2 that the model calls noise, and E_trend, which scales with the energy, are handled inside.
void ExpectFeatures(const Features& actual, const nlohmann::json& expected, double max_energy);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_GOLDEN_TEST_UTIL_H_
