// valijson stays inside this file: it throws, and it is slow to compile.
#include "server/registry/schema.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/json.h"
#include "server/base/secrets.h"
#include "server/registry/schema_circle.h"

namespace mfn::registry {
namespace {

using Json = nlohmann::json;
constexpr int kMaxDepth = 64;

absl::StatusOr<Json> ParseObject(absl::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, {.max_depth = kMaxDepth});
  if (json.ok() && !json->is_object()) return absl::InvalidArgumentError("not a JSON object");
  return json;
}

// The first $ref that does not stay in the document, or empty.
std::string RemoteRef(const Json& node) {
  if (node.is_object()) {
    const auto ref = node.find("$ref");
    if (ref != node.end() && ref->is_string()) {
      const std::string target = ref->get<std::string>();
      if (target.empty() || target[0] != '#') return target.empty() ? "(empty)" : target;
    }
  }
  if (!node.is_structured()) return "";
  for (const Json& child : node) {
    if (std::string found = RemoteRef(child); !found.empty()) return found;
  }
  return "";
}

std::string Token(absl::string_view name) {
  return absl::StrCat("/", absl::StrReplaceAll(name, {{"~", "~0"}, {"/", "~1"}}));
}

const Json* Follow(const Json& root, const Json* schema) {
  for (int hops = 0; schema != nullptr && hops < 8; ++hops) {
    if (!schema->is_object() || !schema->contains("$ref")) return schema;
    const std::string ref = (*schema)["$ref"].is_string() ? (*schema)["$ref"] : "";
    try {
      schema = &root.at(Json::json_pointer(ref.substr(ref.empty() ? 0 : 1)));
    } catch (const std::exception&) {
      return nullptr;
    }
  }
  return schema;
}

// Calls visit with every subschema that speaks of the member `name` of an object that `schema`
// describes (empty name: of the array's items).
template <class F>
void ForMember(const Json& root, const Json* schema, const std::string& name, int depth, F visit) {
  schema = Follow(root, schema);
  if (schema == nullptr || !schema->is_object() || depth > kMaxDepth) return;
  if (name.empty()) {
    const auto items = schema->find("items");
    if (items != schema->end() && items->is_object()) visit(&*items);
  } else {
    const auto properties = schema->find("properties");
    const auto rest = schema->find("additionalProperties");
    if (properties != schema->end() && properties->is_object() && properties->contains(name)) {
      visit(&(*properties)[name]);
    } else if (rest != schema->end() && rest->is_object()) {
      visit(&*rest);
    }
  }
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    const auto branches = schema->find(keyword);
    if (branches == schema->end() || !branches->is_array()) continue;
    for (const Json& branch : *branches) ForMember(root, &branch, name, depth + 1, visit);
  }
  for (const char* keyword : {"if", "then", "else"}) {
    const auto branch = schema->find(keyword);
    if (branch != schema->end()) ForMember(root, &*branch, name, depth + 1, visit);
  }
}

// The text between the last pair of single quotes.
std::string Quoted(const std::string& text) {
  const size_t end = text.rfind('\'');
  if (end == std::string::npos || end == 0) return "";
  const size_t begin = text.rfind('\'', end - 1);
  return begin == std::string::npos ? "" : text.substr(begin + 1, end - begin - 1);
}

struct Fault {
  std::vector<std::string> path;  // names of members, "" followed by nothing for items: "[3]" = 3
  std::string what;
  bool unknown_member = false;
};

Fault Translate(const valijson::ValidationResults::Error& error) {
  Fault fault;
  for (size_t i = 1; i < error.context.size(); ++i) {  // [0] is "<root>"
    const std::string& step = error.context[i];
    const bool bracketed = step.size() >= 2 && step.front() == '[' && step.back() == ']';
    fault.path.push_back(bracketed ? step.substr(1, step.size() - 2) : step);
  }
  fault.what = error.description;
  if (absl::StartsWith(fault.what, "Missing required property")) {
    fault.path.push_back(Quoted(fault.what));
    fault.what = "required, but missing";
  } else if (absl::StrContains(fault.what, "'additionalProperties'")) {
    const std::string name = Quoted(fault.what);
    if (name != "additionalProperties") fault.path.push_back(name);
    fault.what = "unknown field";
    fault.unknown_member = true;
  } else if (absl::StartsWith(fault.what, "Value type not permitted")) {
    fault.what = "wrong type";
  }
  while (!fault.what.empty() && fault.what.back() == '.') fault.what.pop_back();
  return fault;
}

// What the schema says about the value at the path, for people; empty if it says nothing.
std::string Expected(const Json& root, const Fault& fault) {
  std::vector<const Json*> at = {&root};
  const size_t steps = fault.path.size() - (fault.unknown_member && !fault.path.empty() ? 1 : 0);
  for (size_t i = 0; i < steps; ++i) {
    const std::string& name = fault.path[i];
    std::vector<const Json*> next;
    for (const Json* schema : at) {
      ForMember(root, schema, name, 0, [&](const Json* s) { next.push_back(s); });
      if (next.empty()) ForMember(root, schema, "", 0, [&](const Json* s) { next.push_back(s); });
    }
    if (next.empty()) return "";
    at = std::move(next);
  }
  const Json* schema = Follow(root, at.front());
  if (schema == nullptr || !schema->is_object()) return "";
  if (fault.unknown_member) {
    std::string names;
    const auto properties = schema->find("properties");
    if (properties == schema->end()) return "";
    for (const auto& [name, unused] : properties->items()) {
      absl::StrAppend(&names, names.empty() ? "one of " : ", ", name);
    }
    return names;
  }
  Json shown = Json::object();
  for (const char* key :
       {"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "minLength", "maxLength", "pattern", "minItems", "maxItems"}) {
    if (schema->contains(key)) shown[key] = (*schema)[key];
  }
  return shown.empty() ? "" : shown.dump();
}

}  // namespace

struct ConfigSchema::Compiled {
  Json json;
  valijson::Schema schema;
};

ConfigSchema::ConfigSchema(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
ConfigSchema::~ConfigSchema() = default;

absl::StatusOr<std::unique_ptr<ConfigSchema>> ConfigSchema::Parse(absl::string_view text) {
  absl::StatusOr<Json> json = ParseObject(text);
  if (!json.ok()) return json.status();
  if (const std::string ref = RemoteRef(*json); !ref.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("$ref \"", ref, "\" leaves the document; only \"#...\" is followed"));
  }
  if (const std::string ref = CircularRef(*json); !ref.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("$ref \"", ref, "\" leads back to itself, so that no value could be checked"));
  }
  auto compiled = std::make_unique<Compiled>();
  compiled->json = *std::move(json);
  try {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(compiled->json),
                          compiled->schema);
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("not a JSON Schema: ", e.what()));
  }
  return std::unique_ptr<ConfigSchema>(new ConfigSchema(std::move(compiled)));
}

absl::Status ConfigSchema::Validate(absl::string_view config_json) const {
  absl::StatusOr<Json> config = ParseObject(config_json);
  if (!config.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("/: ", config.status().message()));
  }
  valijson::ValidationResults results;
  try {
    valijson::Validator validator(valijson::Validator::kStrongTypes);
    valijson::adapters::NlohmannJsonAdapter target(*config);
    if (validator.validate(compiled_->schema, target, &results)) return absl::OkStatus();
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("/: cannot be checked: ", e.what()));
  }
  // The deepest error is the cause; those above it only say that something below failed.
  Fault worst;
  worst.what = "does not match the schema";
  bool first = true;
  for (const auto& error : results) {
    Fault fault = Translate(error);
    if (first || fault.path.size() > worst.path.size()) worst = std::move(fault);
    first = false;
  }
  std::string pointer;
  for (const std::string& name : worst.path) absl::StrAppend(&pointer, Token(name));
  const std::string expected = Expected(compiled_->json, worst);
  return absl::InvalidArgumentError(absl::StrCat(pointer.empty() ? "/" : pointer, ": ", worst.what,
                                                 expected.empty() ? "" : ", expected ", expected));
}

std::string ConfigSchema::Redacted(absl::string_view config_json) const {
  absl::StatusOr<Json> config = ParseObject(config_json);
  if (!config.ok()) return "{}";
  return RedactJson(*std::move(config), compiled_->json)
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mfn::registry
