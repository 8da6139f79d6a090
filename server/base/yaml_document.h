// A YAML text as a JSON value that remembers where each part stands.
//
// Plain scalars are typed by YAML's core schema (null, booleans, decimal, 0o and 0x integers,
// floats); quoted ones are strings. References (interpolation.h) are replaced in scalar values, not
// in keys, before typing; a value that takes part of a file, or that became empty, is a string.
// Bounds: 4 MiB of text, 64 levels, 100,000 values after aliases are expanded.
#ifndef MFN_SERVER_BASE_YAML_DOCUMENT_H_
#define MFN_SERVER_BASE_YAML_DOCUMENT_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "server/base/config_loader.h"
#include "server/base/config_problem.h"

namespace mfn {

struct YamlSpot {
  Position key;  // of the member's key; that of the value where there is none
  Position value;
  bool interpolated = false;  // the value may be a secret: not to be shown
  std::string text;           // of an interpolated scalar: as it was before typing
  std::string reference;      // and before interpolation
};

struct YamlDocument {
  nlohmann::json value;                   // null for a text without content
  std::map<std::string, YamlSpot> spots;  // by field path (config_problem.h); "" is the document
};

// Adds to *problems whatever is wrong, with its position: not YAML, duplicate keys, keys that are
// no scalars, tags that have no JSON, references that cannot be resolved. The document then holds
// what could be read, with null in place of the rest.
YamlDocument ParseYaml(absl::string_view text, absl::string_view base_dir, const EnvLookup& env,
                       Problems* problems);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_YAML_DOCUMENT_H_
