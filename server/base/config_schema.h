// The published JSON Schema of the configuration (deploy/config.schema.json), compiled in.
//
// Whether a value is valid is for the validator to say; what is told about it is worded here, since
// a validator's own words name neither the bound nor what is known.
#ifndef MFN_SERVER_BASE_CONFIG_SCHEMA_H_
#define MFN_SERVER_BASE_CONFIG_SCHEMA_H_

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "server/base/config_problem.h"

namespace mfn {

// Adds to *problems whatever the schema does not allow in the whole configuration `value`, by field
// path. A value is quoted in a message only if it is short, no secret, and quotable(path).
// Thread-safe.
void CheckAgainstSchema(const nlohmann::json& value,
                        const std::function<bool(const std::string& path)>& quotable,
                        Problems* problems);

// Where the schema wants a string and an interpolated scalar came out as something else (a key made
// of digits), puts its text back. text_of(path) is the text, null if the value was written as it
// is.
void RestoreText(const std::function<const std::string*(const std::string& path)>& text_of,
                 nlohmann::json* value);

// The text of the schema.
absl::string_view ConfigSchemaText();

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_SCHEMA_H_
