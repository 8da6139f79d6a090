// ParseJson: what it accepts, and that each kind of bad text is refused with offset and bound.
#include "server/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace mfn {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Error(const std::string& text, const JsonLimits& limits = {}) {
  const absl::StatusOr<nlohmann::json> parsed = ParseJson(text, limits);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}

TEST(ParseJson, BuildsTheSameValueAsTheLibrary) {
  const std::string text =
      R"({"a": [1, -2, 3.5, 18446744073709551615, {"b": null}], "c": true, "d": "\u00e9\n", "e": {}})";
  const absl::StatusOr<nlohmann::json> parsed = ParseJson(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, nlohmann::json::parse(text));
  EXPECT_EQ(ParseJson(" 7 ")->get<int>(), 7);
}

TEST(ParseJson, TruncatedTextTellsTheOffset) {
  EXPECT_THAT(Error(R"({"a": [1, 2)"), HasSubstr("byte 11: unexpected end of input"));
  EXPECT_THAT(Error(""), HasSubstr("byte 0"));
  EXPECT_THAT(Error(R"({"a)"), HasSubstr("missing closing quote"));
}

TEST(ParseJson, DepthIsBoundedWithoutRecursion) {
  const std::string at_limit = std::string(64, '[') + std::string(64, ']');
  EXPECT_TRUE(ParseJson(at_limit).ok());
  EXPECT_THAT(Error(std::string(65, '[')), HasSubstr("byte 64: nested deeper than 64 levels"));
  EXPECT_THAT(Error(std::string(10'000'000, '[')), HasSubstr("byte 64"));
  EXPECT_THAT(Error(R"({"a":{"b":{}}})", {.max_depth = 2}), HasSubstr("byte 10"));
}

TEST(ParseJson, InvalidUtf8) {
  EXPECT_THAT(Error("{\"a\": \"\xc3\x28\"}"), HasSubstr("UTF-8"));
  EXPECT_THAT(Error("\"\xed\xa0\x80\""), HasSubstr("UTF-8"));  // a surrogate
  EXPECT_THAT(Error("\xff"), HasSubstr("byte 0"));
}

TEST(ParseJson, TrailingGarbageAndLooseSyntax) {
  EXPECT_THAT(Error("{} x"), HasSubstr("byte 3"));
  EXPECT_THAT(Error("{}{}"), HasSubstr("byte 2"));
  EXPECT_THAT(Error("[1,]"), HasSubstr("byte 3"));
  EXPECT_THAT(Error("// c\n{}"), HasSubstr("byte 0"));
  EXPECT_THAT(Error("NaN"), HasSubstr("byte 0"));
  EXPECT_THAT(Error("1e999"), HasSubstr("out of range"));
}

TEST(ParseJson, OversizeNamesTheBound) {
  EXPECT_TRUE(ParseJson("[1]", {.max_bytes = 3}).ok());
  EXPECT_THAT(Error("[1] ", {.max_bytes = 3}), HasSubstr("4 bytes, over the limit of 3 bytes"));
}

TEST(ParseJson, DuplicateKeysAtAnyLevel) {
  EXPECT_THAT(Error(R"({"a":1,"a":2})"), HasSubstr("byte 9: the object has this key twice"));
  EXPECT_THAT(Error(R"([{"x":{"k":{},"k":1}}])"), HasSubstr("twice"));
  EXPECT_TRUE(ParseJson(R"([{"a":1},{"a":{"a":2}}])").ok());
}

TEST(ParseJson, ErrorsNeverQuoteTheText) {
  EXPECT_THAT(Error(R"({"password": hunter2})"), Not(HasSubstr("hunter2")));
  EXPECT_THAT(Error(R"({"password": "hunter2})"), Not(HasSubstr("hunter2")));
  EXPECT_THAT(Error("[99999999e99999999]"), Not(HasSubstr("99999999")));
}

// Seeded: the same thousands of damaged texts every time. What parses must survive a round trip.
TEST(ParseJson, MutationsNeverCrash) {
  const std::string seed =
      R"({"name":"a","list":[1,2.5,-3e4,true,false,null,{"deep":{"er":[[]]}}],"u":"\u20ac€"})";
  std::mt19937 random(20240607);
  int accepted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = seed;
    const int edits = 1 + static_cast<int>(random() % 4);
    for (int edit = 0; edit < edits && !text.empty(); ++edit) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, 1 + random() % 5);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 12));
          break;
        default:
          text.resize(at);
          break;
      }
    }
    const absl::StatusOr<nlohmann::json> parsed = ParseJson(text, {.max_bytes = 200});
    if (!parsed.ok()) continue;
    ++accepted;
    EXPECT_EQ(*ParseJson(parsed->dump()), *parsed);
  }
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace mfn
