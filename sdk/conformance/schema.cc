// valijson, which is slow to compile, stays inside this file.
#include "schema.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace mfn::conformance {
namespace {

constexpr int kMaxDepth = 8;       // of examples; a schema may refer to itself
constexpr int kMaxText = 1 << 16;  // of a fuzzed string

void RefuseRemoteRefs(const Json& node) {
  if (node.is_object() && node.contains("$ref") && node["$ref"].is_string()) {
    const std::string target = node["$ref"];
    if (target.empty() || target[0] != '#') {
      throw std::runtime_error("$ref \"" + target +
                               "\" leaves the document; only \"#...\" is followed");
    }
  }
  if (!node.is_structured()) return;
  for (const Json& child : node) RefuseRemoteRefs(child);
}

// The schema behind $ref and in the first branch of anyOf and oneOf.
const Json& Resolve(const Json& root, const Json& schema, int depth = 0) {
  static const Json kAnything = Json::object();
  if (!schema.is_object() || depth > kMaxDepth) return kAnything;
  if (schema.contains("$ref") && schema["$ref"].is_string()) {
    const Json::json_pointer target(schema["$ref"].get<std::string>().substr(1));
    return root.contains(target) ? Resolve(root, root.at(target), depth + 1) : kAnything;
  }
  for (const char* keyword : {"anyOf", "oneOf", "allOf"}) {
    if (schema.contains("type") || schema.contains("properties") || !schema.contains(keyword))
      continue;
    if (schema[keyword].is_array() && !schema[keyword].empty()) {
      return Resolve(root, schema[keyword][0], depth + 1);
    }
  }
  return schema;
}

std::string TypeOf(const Json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return schema.contains("properties") ? "object" : "";
  if (type->is_array()) return type->empty() ? "" : (*type)[0].get<std::string>();
  return type->is_string() ? type->get<std::string>() : "";
}

int64_t Bound(const Json& schema, const char* keyword, int64_t otherwise) {
  const auto bound = schema.find(keyword);
  if (bound == schema.end() || !bound->is_number()) return otherwise;
  if (bound->is_number_float()) {
    const double value = bound->get<double>();
    return value > -9e18 && value < 9e18 ? static_cast<int64_t>(value) : otherwise;
  }
  return bound->get<int64_t>();
}

Json Make(const Json& root, const Json& unresolved, int depth) {
  const Json& schema = Resolve(root, unresolved);
  if (schema.contains("examples") && !schema["examples"].empty()) return schema["examples"][0];
  for (const char* keyword : {"default", "const"}) {
    if (schema.contains(keyword)) return schema[keyword];
  }
  if (schema.contains("enum") && !schema["enum"].empty()) return schema["enum"][0];
  const std::string type = TypeOf(schema);
  if (type == "string") {
    return std::string(static_cast<size_t>(std::max<int64_t>(1, Bound(schema, "minLength", 1))),
                       'a');
  }
  if (type == "integer" || type == "number") {
    const int64_t least =
        std::max(Bound(schema, "minimum", 0), Bound(schema, "exclusiveMinimum", -1) + 1);
    return std::min(
        {least, Bound(schema, "maximum", least), Bound(schema, "exclusiveMaximum", least + 1) - 1});
  }
  if (type == "boolean") return false;
  if (type == "array") {
    Json array = Json::array();
    for (int64_t i = Bound(schema, "minItems", 0); i > 0 && depth < kMaxDepth; --i) {
      array.push_back(Make(root, schema.value("items", Json::object()), depth + 1));
    }
    return array;
  }
  if (type != "object" && depth > 0) return nullptr;
  Json object = Json::object();
  for (const Json& name : schema.value("required", Json::array())) {
    if (!name.is_string() || depth >= kMaxDepth) continue;
    const Json properties = schema.value("properties", Json::object());
    object[name.get<std::string>()] =
        Make(root, properties.value(name.get<std::string>(), Json::object()), depth + 1);
  }
  return object;
}

uint64_t Below(Random& random, uint64_t bound) { return bound == 0 ? 0 : random() % bound; }

Json AnyText(const Json& schema, Random& random) {
  static const char* const kTexts[] = {
      "",      "a",       ".",   "..",      "../../x",    "/",       "a/b",
      "%s%n",  "{",       "{a}", "${A}",    "\"",         "\\",      "\n",
      "\t a ", "*",       "[",   "0",       "-1",         "é\u2028", "\xf0\x9f\x8d\x84",
      "{time", "{time:%", "a b", "http://", "host:99999", ":0"};
  const uint64_t choice = Below(random, std::size(kTexts) + 4);
  if (choice < std::size(kTexts)) return kTexts[choice];
  if (choice == std::size(kTexts)) return std::string("a\0b", 3);
  const int64_t least = Bound(schema, "minLength", 0), most = Bound(schema, "maxLength", 1000);
  const int64_t length = choice % 2 == 0 ? least : most;
  return std::string(static_cast<size_t>(std::clamp<int64_t>(length, 0, kMaxText)), 'x');
}

Json AnyNumber(const Json& schema, Random& random, bool integer) {
  const int64_t least = Bound(schema, "minimum", std::numeric_limits<int64_t>::min());
  const int64_t most = Bound(schema, "maximum", std::numeric_limits<int64_t>::max());
  switch (Below(random, 7)) {
    case 0:
      return least;
    case 1:
      return most;
    case 2:
      return 0;
    case 3:
      return std::numeric_limits<uint64_t>::max();
    case 4:
      return static_cast<double>(least / 2 + most / 2);  // 1.0 is an integer of JSON Schema
    case 5:
      return integer ? Json(1) : Json(0.1);
    default:
      return static_cast<int64_t>(random());
  }
}

Json Any(const Json& root, const Json& unresolved, Random& random, int depth) {
  const Json& schema = Resolve(root, unresolved);
  if (schema.contains("enum") && !schema["enum"].empty()) {
    return schema["enum"][Below(random, schema["enum"].size())];
  }
  std::string type = TypeOf(schema);
  if (schema.contains("type") && schema["type"].is_array() && !schema["type"].empty()) {
    type = schema["type"][Below(random, schema["type"].size())];
  }
  if (type == "string") return AnyText(schema, random);
  if (type == "integer" || type == "number") return AnyNumber(schema, random, type == "integer");
  if (type == "boolean") return Below(random, 2) == 0;
  if (type == "null") return nullptr;
  if (type == "array" && depth < kMaxDepth) {
    Json array = Json::array();
    const Json items = schema.value("items", Json::object());
    for (uint64_t n = Below(random, 4); n > 0; --n)
      array.push_back(Any(root, items, random, depth + 1));
    return array;
  }
  if (type == "object" && depth < kMaxDepth) {
    Json object = Make(root, schema, depth);
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [name, member] : properties.items()) {
      if (Below(random, 2) == 0) object[name] = Any(root, member, random, depth + 1);
    }
    if (properties.empty()) object[AnyText(schema, random).get<std::string>()] = "x";
    return object;
  }
  return Below(random, 2) == 0 ? Json(nullptr) : AnyText(schema, random);
}

}  // namespace

struct Schema::Compiled {
  valijson::Schema schema;
};

Schema::Schema(const std::string& text) : compiled_(std::make_unique<Compiled>()) {
  json_ = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json_.is_discarded()) throw std::runtime_error("not JSON");
  if (!json_.is_object()) throw std::runtime_error("not a JSON object");
  RefuseRemoteRefs(json_);
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(json_), compiled_->schema);
}
Schema::~Schema() = default;

std::string Schema::Violation(const Json& config) const {
  valijson::ValidationResults results;
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  if (validator.validate(compiled_->schema, valijson::adapters::NlohmannJsonAdapter(config),
                         &results)) {
    return "";
  }
  std::string words;
  for (const auto& error : results) {
    std::string place;
    for (size_t i = 1; i < error.context.size(); ++i) place += error.context[i];
    words += (words.empty() ? "" : "; ") + (place.empty() ? "" : place + ": ") + error.description;
  }
  return words.empty() ? "it does not match" : words;
}

Json Schema::Example() const { return Make(json_, json_, 0); }

Json Schema::Mutate(const Json& config, Random& random) const {
  Json mutated = config;
  const Json& schema = Resolve(json_, json_);
  const Json properties = schema.value("properties", Json::object());
  for (uint64_t n = 1 + Below(random, 3); n > 0; --n) {
    if (properties.empty() || Below(random, 20) == 0) {
      mutated[AnyText(schema, random).get<std::string>()] = Any(json_, Json::object(), random, 0);
      continue;
    }
    const auto member =
        std::next(properties.begin(), static_cast<long>(Below(random, properties.size())));
    if (Below(random, 8) == 0) {
      mutated.erase(member.key());
    } else {
      mutated[member.key()] = Any(json_, member.value(), random, 0);
    }
  }
  return mutated;
}

bool Schema::AllowsUnknownMembers() const {
  const Json& schema = Resolve(json_, json_);
  return schema.contains("patternProperties") ||
         (schema.contains("additionalProperties") && schema["additionalProperties"] != false);
}

}  // namespace mfn::conformance
