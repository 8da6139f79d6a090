#include "server/base/secret_references.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/config_problem.h"
#include "server/base/interpolation.h"
#include "server/base/json.h"

namespace mfn {
namespace {

using Json = nlohmann::json;

struct Finder {
  const YamlDocument& document;
  const std::string base_dir;
  std::vector<SecretReference> found;

  void Visit(const Json& value, const std::string& path, const std::string& pointer) {
    if (value.is_string()) {
      const auto spot = document.spots.find(path);
      if (spot == document.spots.end() || !spot->second.interpolated) return;
      found.push_back({pointer, spot->second.reference, base_dir});
    } else if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) {
        Visit(value[i], ItemPath(path, i), absl::StrCat(pointer, "/", i));
      }
    } else if (value.is_object()) {
      for (const auto& [key, member] : value.items()) {
        const std::string token = absl::StrReplaceAll(key, {{"~", "~0"}, {"/", "~1"}});
        Visit(member, MemberPath(path, key), absl::StrCat(pointer, "/", token));
      }
    }
  }
};

absl::StatusOr<std::string> Resolve(const SecretReference& reference, const EnvLookup& env) {
  absl::StatusOr<Interpolated> value = Interpolate(reference.text, reference.base_dir, env);
  if (!value.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("config_data", reference.field, ": ", value.status().message()));
  }
  return std::move(value->text);
}

// Null: not a pointer, or nothing is there.
Json* At(Json* root, absl::string_view pointer) {
  try {
    const Json::json_pointer at{std::string(pointer)};
    return root->contains(at) ? &root->at(at) : nullptr;
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace

std::vector<SecretReference> FindReferences(const YamlDocument& document, const std::string& path,
                                            const Json& config_data, absl::string_view base_dir) {
  Finder finder{document, std::string(base_dir), {}};
  finder.Visit(config_data, path, "");
  return std::move(finder.found);
}

absl::StatusOr<std::string> ResolveField(const InstanceConfig& config, absl::string_view field,
                                         const EnvLookup& env) {
  for (const SecretReference& reference : config.references) {
    if (reference.field == field) return Resolve(reference, env);
  }
  absl::StatusOr<Json> json = ParseJson(config.config_json);
  if (!json.ok()) return json.status();
  const Json* value = At(&*json, field);
  if (value == nullptr || !value->is_string()) {
    return absl::NotFoundError(absl::StrCat("config_data has no string at \"", field, "\""));
  }
  return value->get<std::string>();
}

absl::StatusOr<std::string> ResolveAll(const InstanceConfig& config, const EnvLookup& env) {
  if (config.references.empty()) return config.config_json;
  absl::StatusOr<Json> json = ParseJson(config.config_json);
  if (!json.ok()) return json.status();
  for (const SecretReference& reference : config.references) {
    absl::StatusOr<std::string> value = Resolve(reference, env);
    if (!value.ok()) return value.status();
    if (Json* at = At(&*json, reference.field); at != nullptr) *at = *std::move(value);
  }
  return json->dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mfn
