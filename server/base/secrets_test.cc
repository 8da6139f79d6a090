// Comparison and redaction of secrets.
#include "server/base/secrets.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace mfn {
namespace {

using nlohmann::json;

TEST(ConstantTimeEquals, ComparesWholeStrings) {
  EXPECT_TRUE(ConstantTimeEquals("key", "key"));
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_FALSE(ConstantTimeEquals("kez", "key"));
  EXPECT_FALSE(ConstantTimeEquals("ke", "key"));
  EXPECT_FALSE(ConstantTimeEquals("keykey", "key"));  // a repetition must not match
  EXPECT_FALSE(ConstantTimeEquals("", "key"));
  EXPECT_FALSE(ConstantTimeEquals("key", ""));
  EXPECT_FALSE(ConstantTimeEquals(std::string("\0", 1), ""));
}

TEST(RedactJson, PropertiesItemsAndAdditionalProperties) {
  const json schema = json::parse(R"({
    "properties": {
      "url": {"type": "string"},
      "password": {"type": "string", "writeOnly": true},
      "headers": {"additionalProperties": {"writeOnly": true}, "properties": {"accept": {}}},
      "users": {"items": {"properties": {"token": {"writeOnly": true}}}}}})");
  const json value = json::parse(R"({"url": "u", "password": {"nested": "p"}, "other": 1,
    "headers": {"accept": "a", "authorization": "b"},
    "users": [{"token": 1, "id": 2}, {"token": null}]})");
  EXPECT_EQ(RedactJson(value, schema), json::parse(R"({"url": "u", "password": "REDACTED",
    "other": 1, "headers": {"accept": "a", "authorization": "REDACTED"},
    "users": [{"token": "REDACTED", "id": 2}, {"token": "REDACTED"}]})"));
}

TEST(RedactJson, EveryBranchAndReferenceCounts) {
  const json schema = json::parse(R"({
    "definitions": {"secret": {"writeOnly": true}, "a/b": {"properties": {"p": {"$ref": "#/definitions/secret"}}}},
    "allOf": [{"properties": {"a": {"$ref": "#/definitions/secret"}}}],
    "oneOf": [{"properties": {"b": {"writeOnly": true}}}, {}],
    "anyOf": [{"properties": {"c": {"writeOnly": true}}}],
    "if": {"properties": {"kind": {"const": "x"}}},
    "then": {"properties": {"d": {"writeOnly": true}}},
    "else": {"properties": {"e": {"writeOnly": true}}},
    "patternProperties": {"^s_": {"writeOnly": false}},
    "properties": {"f": {"$ref": "#/definitions/a~1b"}}})");
  const json value =
      json::parse(R"({"a":1,"b":1,"c":1,"d":1,"e":1,"f":{"p":1,"q":1},"kind":"y","s_x":1})");
  EXPECT_EQ(RedactJson(value, schema), json::parse(R"({"a":"REDACTED","b":"REDACTED",
    "c":"REDACTED","d":"REDACTED","e":"REDACTED","f":{"p":"REDACTED","q":1},"kind":"y","s_x":1})"));
}

TEST(RedactJson, ReferenceCyclesEndAndBrokenOnesRedact) {
  const json cycle = json::parse(R"({"allOf": [{"$ref": "#"}, {"$ref": "#"}],
    "properties": {"next": {"$ref": "#"}, "key": {"writeOnly": true}}})");
  EXPECT_EQ(RedactJson(json::parse(R"({"next": {"next": {"key": 1, "ok": 2}}})"), cycle),
            json::parse(R"({"next": {"next": {"key": "REDACTED", "ok": 2}}})"));
  const json broken = json::parse(R"({"properties": {"a": {"$ref": "#/nowhere"},
    "b": {"$ref": "http://example.com/s"}, "c": {}}})");
  EXPECT_EQ(RedactJson(json::parse(R"({"a": 1, "b": 2, "c": 3})"), broken),
            json::parse(R"({"a": "REDACTED", "b": "REDACTED", "c": 3})"));
}

}  // namespace
}  // namespace mfn
