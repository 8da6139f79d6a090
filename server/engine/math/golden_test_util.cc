// Reading golden vectors and comparing with them.

#include "server/engine/math/golden_test_util.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace mfn::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "digests are over little-endian arrays");

Json Load(const char* name) {
  std::ifstream file(std::string(MFN_GOLDEN_DIR) + "/" + name);
  if (!file) {
    std::cerr << "cannot open " << MFN_GOLDEN_DIR << "/" << name << "\n";
    std::abort();
  }
  return Json::parse(file);
}

template <typename T>
void OverrideAs(const Json& object, const char* name, T& out) {
  if (object.contains(name)) out = object.at(name).get<T>();
}

}  // namespace

Json GoldenMath(const std::string& topic) {
  static const Json* const math = new Json(Load("math.json"));
  const Json cases = math->at(topic);
  EXPECT_FALSE(cases.empty()) << topic;
  return cases;
}

std::vector<Json> GoldenErrors(const std::string& api) {
  std::vector<Json> result;
  const Json table = Load("errors.json");
  for (const Json& row : table.at("cases")) {
    if (row.at("api") == api) result.push_back(row);
  }
  EXPECT_FALSE(result.empty()) << api;
  return result;
}

std::string ErrorClass(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kInvalidArgument:
      return "ValueError";
    case ErrorKind::kOutOfRange:
      return "ValueOutOfRangeError";
    case ErrorKind::kStability:
      return "StabilityError";
    case ErrorKind::kNumericalInstability:
      return "NumericalInstabilityError";
    default:
      return std::string(ErrorKindName(error.kind));
  }
}

double ToDouble(const Json& value) {
  return value.is_string() ? std::strtod(value.get<std::string>().c_str(), nullptr)
                           : value.get<double>();
}

std::vector<double> ToDoubles(const Json& value) {
  if (!value.is_array()) return {ToDouble(value)};
  std::vector<double> result;
  for (const Json& item : value) {
    const std::vector<double> part = ToDoubles(item);
    result.insert(result.end(), part.begin(), part.end());
  }
  return result;
}

void Override(const Json& object, const char* name, double& out) {
  if (object.contains(name)) out = ToDouble(object.at(name));
}
void Override(const Json& object, const char* name, int64_t& out) { OverrideAs(object, name, out); }
void Override(const Json& object, const char* name, bool& out) { OverrideAs(object, name, out); }

Generator GoldenGenerator(const Json& golden_case) {
  return Generator(Seed::FromDecimal(golden_case.at("seed").get<std::string>()).value());
}

std::string Sha256(std::span<const double> values) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(values.data()), values.size_bytes(), digest);
  std::string text;
  for (const unsigned char byte : digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void ExpectNear(std::span<const double> actual, std::span<const double> expected, double absolute,
                double relative) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t k = 0; k < actual.size(); ++k) {
    EXPECT_NEAR(actual[k], expected[k], absolute + relative * std::fabs(expected[k])) << "at " << k;
  }
}

void ExpectSameBits(std::span<const double> actual, std::span<const double> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t k = 0; k < actual.size(); ++k) {
    EXPECT_EQ(std::bit_cast<uint64_t>(actual[k]), std::bit_cast<uint64_t>(expected[k]))
        << "at " << k << ": " << FormatDouble(actual[k]) << " is not " << FormatDouble(expected[k]);
  }
}

}  // namespace mfn::engine
