// The references in an instance's configuration, kept so that they can be resolved again while the
// server runs: a secret in a file changes, and who is refused with the old one asks for the new.
//
// Only references of the operator's own file are kept; a configuration made by RPC has none. Pure
// functions of their arguments, the environment given and the files named; safe from any thread.
#ifndef MFN_SERVER_BASE_SECRET_REFERENCES_H_
#define MFN_SERVER_BASE_SECRET_REFERENCES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/config.h"
#include "server/base/config_loader.h"
#include "server/base/yaml_document.h"

namespace mfn {

// Those of strings below `path`, which names config_data of an instance in the document.
std::vector<SecretReference> FindReferences(const YamlDocument& document, const std::string& path,
                                            const nlohmann::json& config_data,
                                            absl::string_view base_dir);

// The present value of the string at `field`, a JSON pointer into config_json; one without a
// reference has the configured value. NOT_FOUND: there is no string. INVALID_ARGUMENT: the
// reference cannot be resolved now; the message names it, never a value.
absl::StatusOr<std::string> ResolveField(const InstanceConfig& config, absl::string_view field,
                                         const EnvLookup& env);

// config_json with the present values of all references. INVALID_ARGUMENT as above.
absl::StatusOr<std::string> ResolveAll(const InstanceConfig& config, const EnvLookup& env);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_SECRET_REFERENCES_H_
