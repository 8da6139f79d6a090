// Constant-time comparison and redaction by schema.
#include "server/base/secrets.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

namespace mfn {
namespace {

using nlohmann::json;

// Nesting of a value that redaction walks into; deeper parts are redacted whole.
constexpr int kMaxDepth = 128;

class Redactor {
 public:
  explicit Redactor(const json& root) : root_(root) {}

  void Visit(json& value, const json& schema, int depth = 0) const {
    if (depth > kMaxDepth) {
      value = std::string(kRedacted);
      return;
    }
    Seen seen;
    Apply(value, schema, depth, seen);
  }

 private:
  // Schemas already applied to one value: ends reference cycles.
  using Seen = std::set<const json*>;

  void Apply(json& value, const json& schema, int depth, Seen& seen) const {
    if (!schema.is_object() || !seen.insert(&schema).second) return;
    const auto write_only = schema.find("writeOnly");
    if (write_only != schema.end() && *write_only == true) {
      value = std::string(kRedacted);
      return;
    }
    ApplyReference(value, schema, depth, seen);
    for (const char* keyword : {"allOf", "oneOf", "anyOf"}) {
      const auto branches = schema.find(keyword);
      if (branches == schema.end() || !branches->is_array()) continue;
      for (const json& branch : *branches) Apply(value, branch, depth, seen);
    }
    for (const char* keyword : {"if", "then", "else"}) {
      const auto branch = schema.find(keyword);
      if (branch != schema.end()) Apply(value, *branch, depth, seen);
    }
    if (value.is_object()) VisitMembers(value, schema, depth);
    if (value.is_array()) VisitElements(value, schema, depth);
  }

  void ApplyReference(json& value, const json& schema, int depth, Seen& seen) const {
    const auto reference = schema.find("$ref");
    if (reference == schema.end()) return;
    const json* target = Resolve(*reference);
    if (target == nullptr) {
      value = std::string(kRedacted);
      return;
    }
    Apply(value, *target, depth, seen);
  }

  const json* Resolve(const json& reference) const {
    if (!reference.is_string()) return nullptr;
    const std::string& text = reference.get_ref<const std::string&>();
    if (text.empty() || text[0] != '#') return nullptr;
    try {
      const json::json_pointer pointer(text.substr(1));
      return root_.contains(pointer) ? &root_.at(pointer) : nullptr;
    } catch (const json::exception&) {
      return nullptr;
    }
  }

  void VisitMembers(json& value, const json& schema, int depth) const {
    const auto properties = schema.find("properties");
    const auto patterns = schema.find("patternProperties");
    const auto others = schema.find("additionalProperties");
    for (auto& [name, member] : value.items()) {
      bool named = false;
      if (properties != schema.end() && properties->is_object() && properties->contains(name)) {
        Visit(member, properties->at(name), depth + 1);
        named = true;
      }
      if (patterns != schema.end() && patterns->is_object()) {
        for (const auto& [pattern, sub] : patterns->items()) Visit(member, sub, depth + 1);
      }
      if (!named && others != schema.end()) Visit(member, *others, depth + 1);
    }
  }

  void VisitElements(json& value, const json& schema, int depth) const {
    for (const char* keyword : {"items", "additionalItems", "contains"}) {
      const auto items = schema.find(keyword);
      if (items == schema.end()) continue;
      for (json& element : value) {
        if (items->is_object()) Visit(element, *items, depth + 1);
        if (!items->is_array()) continue;
        // By position in the schema; any of them counts, which needs no care about lengths.
        for (const json& item : *items) Visit(element, item, depth + 1);
      }
    }
  }

  const json& root_;
};

}  // namespace

bool ConstantTimeEquals(absl::string_view given, absl::string_view secret) {
  // Volatile keeps the compiler from leaving the loop early.
  volatile unsigned char difference = given.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = secret.empty() ? '\0' : secret[i % secret.size()];
    difference = static_cast<unsigned char>(difference | (given[i] ^ other));
  }
  return difference == 0;
}

nlohmann::json RedactJson(nlohmann::json value, const nlohmann::json& schema) {
  Redactor(schema).Visit(value, schema);
  return value;
}

}  // namespace mfn
