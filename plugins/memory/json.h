// As much JSON as the plugin's small configuration needs: the members of one object, an array's
// elements, strings and numbers. The host has checked the text against the schema before, so
// malformed text only has to be survived. Plugins have no JSON library of the host's.
#ifndef MFN_PLUGINS_MEMORY_JSON_H_
#define MFN_PLUGINS_MEMORY_JSON_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mfn::memory {

// Member names with their values' text, or nothing if the text is no object.
std::optional<std::map<std::string, std::string_view>> Members(std::string_view json);
// The elements' text, or nothing if the text is no array.
std::optional<std::vector<std::string_view>> Elements(std::string_view json);
// The string's value; nothing if the text is no string.
std::optional<std::string> String(std::string_view json);

}  // namespace mfn::memory

#endif  // MFN_PLUGINS_MEMORY_JSON_H_
