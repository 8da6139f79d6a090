// Access to the golden vectors for the tests of this folder.

#ifndef MFN_SERVER_ENGINE_MATH_GOLDEN_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_MATH_GOLDEN_TEST_UTIL_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "server/engine/error.h"
#include "server/engine/rng.h"

namespace mfn::engine {

using Json = nlohmann::json;

// The cases of one topic of math.json. Fails the process if the file is missing.
Json GoldenMath(const std::string& topic);

// The cases of errors.json for one api: {"config": ..., "result": ...}.
std::vector<Json> GoldenErrors(const std::string& api);

// "ok" or the class name in errors.json that stands for this kind.
std::string ErrorClass(const Error& error);
template <typename T>
std::string ErrorClass(const Expected<T>& result) {
  return result.ok() ? "ok" : ErrorClass(result.error());
}

// A JSON number, or one of the strings "nan", "inf", "-inf" and C hex floats.
double ToDouble(const Json& value);
// A nested array as one flat row-major array.
std::vector<double> ToDoubles(const Json& value);
// Overwrites `out` if the object has that member.
void Override(const Json& object, const char* name, double& out);
void Override(const Json& object, const char* name, int64_t& out);
void Override(const Json& object, const char* name, bool& out);

Generator GoldenGenerator(const Json& golden_case);  // from the decimal member "seed"

// Lower-case hexadecimal SHA-256 of the little-endian bytes.
std::string Sha256(std::span<const double> values);

// Fails unless |actual - expected| <= absolute + relative * |expected|, element by element.
void ExpectNear(std::span<const double> actual, std::span<const double> expected, double absolute,
                double relative);
// Fails unless all bits agree.
void ExpectSameBits(std::span<const double> actual, std::span<const double> expected);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_GOLDEN_TEST_UTIL_H_
