// Handling values that must not leak: comparing them and keeping them out of what is shown.
//
// Pure functions, safe from any thread.
#ifndef MFN_SERVER_BASE_SECRETS_H_
#define MFN_SERVER_BASE_SECRETS_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/strings/string_view.h"

namespace mfn {

// What stands in place of a secret wherever one would be shown.
inline constexpr absl::string_view kRedacted = "REDACTED";

// Whether the two are equal, in a time that depends on the lengths alone.
bool ConstantTimeEquals(absl::string_view given, absl::string_view secret);

// The value with every part that the JSON schema marks "writeOnly": true replaced by kRedacted.
// Follows properties, patternProperties and additionalProperties, items, allOf/oneOf/anyOf,
// if/then/else and local $ref; every branch counts, whether or not it applies to this value, and
// a $ref that cannot be followed redacts what it describes: showing too little is the safe error.
nlohmann::json RedactJson(nlohmann::json value, const nlohmann::json& schema);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_SECRETS_H_
