// Reading members of a JSON object that may be absent, null or, where the schema has already
// complained, of another type: all of these read as "not given". Pure functions.
#ifndef MFN_SERVER_BASE_CONFIG_FIELDS_H_
#define MFN_SERVER_BASE_CONFIG_FIELDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/base/config_bounds.h"

namespace mfn {

inline const nlohmann::json* FindMember(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto member = object.find(key);
  return member == object.end() || member->is_null() ? nullptr : &*member;
}

inline std::optional<std::string> StringMember(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = FindMember(object, key);
  if (member == nullptr || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

inline std::optional<bool> BoolMember(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = FindMember(object, key);
  if (member == nullptr || !member->is_boolean()) return std::nullopt;
  return member->get<bool>();
}

inline std::optional<double> NumberMember(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = FindMember(object, key);
  if (member == nullptr || !member->is_number()) return std::nullopt;
  return member->get<double>();
}

// A value out of bounds was reported by the schema and reads as not given.
inline std::optional<int64_t> IntMember(const nlohmann::json& object, const char* key,
                                        const IntBounds& bounds) {
  const nlohmann::json* member = FindMember(object, key);
  if (member == nullptr || !member->is_number_integer()) return std::nullopt;
  const double approximate = member->get<double>();
  if (approximate < static_cast<double>(bounds.low) ||
      approximate > static_cast<double>(bounds.high)) {
    return std::nullopt;
  }
  return member->get<int64_t>();
}

inline std::optional<double> NumberMember(const nlohmann::json& object, const char* key,
                                          const RealBounds& bounds) {
  const std::optional<double> value = NumberMember(object, key);
  return value && *value >= bounds.low && *value <= bounds.high ? value : std::nullopt;
}

// An empty object in place of a member that is absent or no object.
inline const nlohmann::json& ObjectMember(const nlohmann::json& object, const char* key) {
  static const auto* const kEmpty = new nlohmann::json(nlohmann::json::object());
  const nlohmann::json* member = FindMember(object, key);
  return member == nullptr || !member->is_object() ? *kEmpty : *member;
}

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_FIELDS_H_
