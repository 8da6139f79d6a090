// A depth-first walk along the keywords that apply a schema to the same value.
#include "server/registry/schema_circle.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace mfn::registry {
namespace {

using Json = nlohmann::json;

constexpr int kMaxChain = 256;

class Walk {
 public:
  explicit Walk(const Json& root) : root_(root) {}

  // Every schema of the document is a start, since a value may reach it from above.
  std::string From(const Json& node) {
    if (node.is_object()) {
      if (std::string ref = Visit(node, 0); !ref.empty()) return ref;
    }
    if (!node.is_structured()) return "";
    for (const Json& child : node) {
      if (std::string ref = From(child); !ref.empty()) return ref;
    }
    return "";
  }

 private:
  enum class State { kOpen, kDone };

  std::string Visit(const Json& schema, int depth) {
    if (!schema.is_object()) return "";
    const auto [state, is_new] = states_.emplace(&schema, State::kOpen);
    if (!is_new) return state->second == State::kOpen ? last_ref_ : "";
    if (depth > kMaxChain) return last_ref_;
    std::string found = VisitRef(schema, depth);
    for (const char* key : {"not", "if", "then", "else"}) {
      if (!found.empty()) return found;
      if (schema.contains(key)) found = Visit(schema[key], depth + 1);
    }
    for (const char* key : {"allOf", "anyOf", "oneOf", "dependencies"}) {
      if (!schema.contains(key) || !schema[key].is_structured()) continue;
      for (const Json& each : schema[key]) {
        if (!found.empty()) return found;
        found = Visit(each, depth + 1);
      }
    }
    states_[&schema] = State::kDone;
    return found;
  }

  std::string VisitRef(const Json& schema, int depth) {
    const auto ref = schema.find("$ref");
    if (ref == schema.end() || !ref->is_string()) return "";
    const std::string text = ref->get<std::string>();
    const Json* target = nullptr;
    try {
      target = &root_.at(Json::json_pointer(text.substr(text.empty() ? 0 : 1)));
    } catch (const std::exception&) {
      return "";  // leads nowhere; the compiler of the schema says so
    }
    last_ref_ = text;
    return Visit(*target, depth + 1);
  }

  const Json& root_;
  std::unordered_map<const Json*, State> states_;
  std::string last_ref_ = "#";
};

}  // namespace

std::string CircularRef(const Json& schema) { return Walk(schema).From(schema); }

}  // namespace mfn::registry
