// valijson decides; a walk along the schema words what it found. valijson stays inside this file:
// it throws, and it is slow to compile.
#include "server/base/config_schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "config_json.h"

namespace mfn {
namespace {

using nlohmann::json;

struct Compiled {
  json text = json::parse(k_config_json);
  valijson::Schema schema;

  Compiled() {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text), schema);
  }
};

// Compiled once; never freed, as other threads may be reading while the process ends.
const Compiled& Schema() {
  static const Compiled* const compiled = new Compiled;
  return *compiled;
}

// The validator's answer, and its deepest complaint.
bool Valid(const json& value, std::string* complaint) {
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  valijson::ValidationResults results;
  try {
    if (validator.validate(Schema().schema, valijson::adapters::NlohmannJsonAdapter(value),
                           &results)) {
      return true;
    }
  } catch (const std::exception& error) {
    *complaint = absl::StrCat("cannot be checked: ", error.what());
    return false;
  }
  size_t depth = 0;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    if (error.context.size() < depth) continue;
    depth = error.context.size();
    *complaint = absl::StrCat(absl::StrJoin(error.context, ""), ": ", error.description);
  }
  return false;
}

// In the schema's words: integers are numbers too, but here the exact kind is wanted.
std::string TypeOf(const json& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_null()) return "null";
  return value.type_name();
}

std::string Spoken(absl::string_view type) {
  if (type == "object") return "a map";
  if (type == "array") return "a list";
  if (type == "null") return "nothing";
  if (type == "boolean") return "true or false";
  return absl::StrCat(type == "integer" ? "an " : "a ", type);
}

bool HasType(const std::string& wanted, const json& value) {
  const std::string type = TypeOf(value);
  return type == wanted || (wanted == "number" && type == "integer");
}

std::vector<std::string> Types(const json& schema) {
  std::vector<std::string> types;
  const auto type = schema.find("type");
  if (type != schema.end()) {
    if (type->is_string()) return {type->get<std::string>()};
    return type->get<std::vector<std::string>>();
  }
  if (const auto words = schema.find("enum"); words != schema.end()) {
    for (const json& word : *words) {
      const std::string name = TypeOf(word);
      if (std::find(types.begin(), types.end(), name) == types.end()) types.push_back(name);
    }
  }
  return types;
}

std::vector<std::string> Names(const json& properties) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : properties.items()) names.push_back(name);
  return names;
}

const json& Resolve(const json& schema) {
  const auto reference = schema.find("$ref");
  if (reference == schema.end()) return schema;
  const json::json_pointer pointer(reference->get<std::string>().substr(1));
  return Resolve(Schema().text.at(pointer));
}

// The branch of an anyOf that is meant, by the value's type.
const json* Branch(const json& value, const json& schema) {
  for (const json& unresolved : schema["anyOf"]) {
    const json& branch = Resolve(unresolved);
    for (const std::string& type : Types(branch)) {
      if (HasType(type, value)) return &branch;
    }
  }
  return nullptr;
}

class Explainer {
 public:
  Explainer(const std::function<bool(const std::string&)>& quotable, Problems* problems)
      : quotable_(quotable), problems_(problems) {}

  void Explain(const json& value, const json& unresolved, const std::string& path) {
    const json* schema = &Resolve(unresolved);
    if (schema->contains("anyOf")) {
      const json* branch = Branch(value, *schema);
      if (branch == nullptr) {
        Report(path, absl::StrCat("expected ", Alternatives(*schema), ", found ",
                                  Found(value, *schema, path)));
        return;
      }
      schema = branch;
    }
    const std::vector<std::string> types = Types(*schema);
    const auto fits = [&](const std::string& type) { return HasType(type, value); };
    if (!types.empty() && std::none_of(types.begin(), types.end(), fits)) {
      Report(path, absl::StrCat("expected ", Wanted(types, *schema), ", found ",
                                Found(value, *schema, path)));
      return;
    }
    if (value.is_object()) ExplainObject(value, *schema, path);
    if (value.is_array()) ExplainArray(value, *schema, path);
    if (value.is_string()) ExplainString(value, *schema, path);
    if (value.is_number()) ExplainNumber(value, *schema, path);
  }

 private:
  void Report(const std::string& path, std::string what, bool at_key = false) {
    problems_->push_back({.path = path, .what = std::move(what), .at_key = at_key, .at = {}});
  }

  static std::string Alternatives(const json& schema) {
    std::vector<std::string> spoken;
    for (const json& unresolved : schema["anyOf"]) {
      const json& branch = Resolve(unresolved);
      spoken.push_back(Wanted(Types(branch), branch));
    }
    return absl::StrJoin(spoken, " or ");
  }

  static std::string Wanted(const std::vector<std::string>& types, const json& schema) {
    std::vector<std::string> spoken;
    for (const std::string& type : types) {
      if (type != "null") spoken.push_back(Spoken(type));
    }
    return absl::StrCat(absl::StrJoin(spoken, " or "), Bounds(schema));
  }

  // " from 1 to 100"; empty if there are no bounds.
  static std::string Bounds(const json& schema) {
    if (!schema.contains("minimum") || !schema.contains("maximum")) return "";
    return absl::StrCat(" from ", schema["minimum"].dump(), " to ", schema["maximum"].dump());
  }

  std::string Found(const json& value, const json& schema, const std::string& path) const {
    const std::string type = Spoken(TypeOf(value));
    const bool secret = schema.value("writeOnly", false) || !quotable_(path);
    if (value.is_structured() || value.is_null() || secret) return type;
    const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    if (text.size() > 80) return type;
    return value.is_string() ? absl::StrCat("the string ", text) : text;
  }

  void ExplainObject(const json& value, const json& schema, const std::string& path) {
    const json none = json::object();
    const json& properties = schema.contains("properties") ? schema["properties"] : none;
    const bool others = schema.contains("additionalProperties");
    const bool named_freely = others && schema["additionalProperties"].is_object();
    for (const auto& [name, member] : value.items()) {
      const std::string member_path = MemberPath(path, name);
      if (properties.contains(name)) {
        Explain(member, properties[name], member_path);
      } else if (named_freely) {
        Explain(member, schema["additionalProperties"], member_path);
      } else if (others) {
        Report(member_path, absl::StrCat("unknown key; ", Known(name, Names(properties))), true);
      }
    }
    if (!schema.contains("required")) return;
    for (const json& name : schema["required"]) {
      if (value.contains(name)) continue;
      Report(MemberPath(path, name.get<std::string>()), "required, but missing");
    }
  }

  void ExplainArray(const json& value, const json& schema, const std::string& path) {
    if (value.size() < schema.value("minItems", size_t{0})) {
      Report(path,
             absl::StrCat("needs at least ", schema["minItems"].dump(), ", found ", value.size()));
    }
    if (value.size() > schema.value("maxItems", value.size())) {
      Report(path,
             absl::StrCat("holds at most ", schema["maxItems"].dump(), ", found ", value.size()));
      return;
    }
    if (!schema.contains("items")) return;
    for (size_t i = 0; i < value.size(); ++i) Explain(value[i], schema["items"], ItemPath(path, i));
  }

  void ExplainString(const json& value, const json& schema, const std::string& path) {
    const std::string& text = value.get_ref<const std::string&>();
    if (schema.contains("enum")) {
      ExplainWord(text, schema, path);
      return;
    }
    if (text.size() < schema.value("minLength", size_t{0})) {
      Report(path, "must not be empty");
      return;
    }
    if (text.size() > schema.value("maxLength", text.size())) {
      Report(path, absl::StrCat("holds at most ", schema["maxLength"].dump(), " characters, found ",
                                text.size()));
      return;
    }
    if (!schema.contains("pattern")) return;
    if (std::regex_search(text, std::regex(schema["pattern"].get<std::string>()))) return;
    Report(path, absl::StrCat("expected ", schema.value("x-expects", "another form"), ", found ",
                              Found(value, schema, path)));
  }

  void ExplainWord(const std::string& text, const json& schema, const std::string& path) {
    std::vector<std::string> words;
    for (const json& word : schema["enum"]) {
      if (word == text) return;
      words.push_back(word.is_string() ? word.get<std::string>() : word.dump());
    }
    if (schema.contains("x-refused") && schema["x-refused"].contains(text)) {
      Report(path, schema["x-refused"][text].get<std::string>());
      return;
    }
    Report(path,
           absl::StrCat("unknown value, found ", Found(text, schema, path), "; ",
                        Known(quotable_(path) ? text : "", words), schema.value("x-hint", "")));
  }

  void ExplainNumber(const json& value, const json& schema, const std::string& path) {
    const double number = value.get<double>();
    if (number >= schema.value("minimum", number) && number <= schema.value("maximum", number)) {
      return;
    }
    Report(path, absl::StrCat("must be", Bounds(schema), ", found ", Found(value, schema, path)));
  }

  const std::function<bool(const std::string&)>& quotable_;
  Problems* const problems_;
};

void Restore(const std::function<const std::string*(const std::string&)>& text_of,
             const json& unresolved, const std::string& path, json* value) {
  const json* schema = &Resolve(unresolved);
  if (schema->contains("anyOf")) {
    const json* branch = Branch(*value, *schema);
    if (branch == nullptr) branch = Branch("", *schema);
    if (branch == nullptr) return;
    schema = branch;
  }
  const std::string* text = value->is_string() ? nullptr : text_of(path);
  if (text != nullptr && Types(*schema) == std::vector<std::string>{"string"}) *value = *text;
  if (value->is_object() && schema->contains("properties")) {
    for (auto& [name, member] : value->items()) {
      const auto sub = (*schema)["properties"].find(name);
      if (sub == (*schema)["properties"].end()) continue;
      Restore(text_of, *sub, MemberPath(path, name), &member);
    }
  }
  if (value->is_array() && schema->contains("items")) {
    for (size_t i = 0; i < value->size(); ++i) {
      Restore(text_of, (*schema)["items"], ItemPath(path, i), &(*value)[i]);
    }
  }
}

}  // namespace

void CheckAgainstSchema(const json& value,
                        const std::function<bool(const std::string& path)>& quotable,
                        Problems* problems) {
  std::string complaint;
  if (Valid(value, &complaint)) return;
  const size_t before = problems->size();
  Explainer(quotable, problems).Explain(value, Schema().text, "");
  if (problems->size() > before) return;
  // Not to happen: the walk knows every keyword that the schema uses (a test holds it).
  problems->push_back({.path = "", .what = complaint, .at_key = false, .at = {}});
}

void RestoreText(const std::function<const std::string*(const std::string& path)>& text_of,
                 json* value) {
  Restore(text_of, Schema().text, "", value);
}

absl::string_view ConfigSchemaText() { return k_config_json; }

}  // namespace mfn
