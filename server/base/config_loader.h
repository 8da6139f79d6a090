// From the operator's YAML, or from the JSON of an RPC, to the plain values of config.h.
//
//   absl::StatusOr<Config> config = LoadConfigFile("mfnd.yaml", ProcessEnv());
//   if (!config.ok()) ...   // one problem per line: "mfnd.yaml:7:15: connectors[0].timeout_ms:
//   ..."
//
// The flow: text -> yaml_document (values with positions) -> interpolation -> the published JSON
// schema (structure, types, bounds, unknown keys) -> normalise (aliases, meaning) -> Config. Every
// problem found is reported at once. Pure functions of their arguments, the environment given and
// the files that the text names; safe from any thread.
#ifndef MFN_SERVER_BASE_CONFIG_LOADER_H_
#define MFN_SERVER_BASE_CONFIG_LOADER_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/config.h"

namespace mfn {

// Looks an environment variable up; nullopt when it is not set.
using EnvLookup = std::function<std::optional<std::string>(const std::string& name)>;

// The environment of this process.
EnvLookup ProcessEnv();

// Loads a file. Relative paths in it (state_dir, plugin_dirs, tls, ${file:...}) are relative to the
// folder of the file.
//
// NotFound, PermissionDenied: the file cannot be read. InvalidArgument: what is in it; the message
// has one line per problem, in the order of the file,
//   <path>:<line>:<column>: <field.path>: <what is wrong, the bound or what is known>
// with lines and columns from 1. Values of interpolated scalars are not quoted.
absl::StatusOr<Config> LoadConfigFile(const std::string& path, const EnvLookup& env);

// The same from a text; `name` stands in the messages for the path, and relative paths are relative
// to base_dir (empty: left as they are). A text without any content is a valid, empty
// configuration.
absl::StatusOr<Config> LoadConfigText(absl::string_view text, absl::string_view name,
                                      absl::string_view base_dir, const EnvLookup& env);

// One instance or pipeline from JSON text, by the same schema and normalisation: the object that
// stands in the file's list. No interpolation, no lines: a problem reads "<field.path>: ...", and
// names of other instances are not resolved. InvalidArgument, one line per problem.
absl::StatusOr<InstanceConfig> ParseInstanceJson(absl::string_view json, InstanceRole role);
absl::StatusOr<PipelineConfig> ParsePipelineJson(absl::string_view json);

// The config_json to show for an instance: the caller knows its component's schema and redacts.
using RedactedConfigJson = std::function<std::string(const InstanceConfig&)>;

// The normalised form as YAML that loads again to an equal Config, but for what is secret: API keys
// and whatever redacted_config_json hides. A config_data which that returns as no JSON object is
// left out whole.
std::string PrintConfig(const Config& config, const RedactedConfigJson& redacted_config_json);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_LOADER_H_
