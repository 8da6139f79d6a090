// From the JSON value of the operator's configuration to the plain values of config.h: aliases,
// units, defaults, and what a schema cannot say (names that must be known, addresses, pairs).
//
// The value has been checked against the schema; where that found a fault, the default takes its
// place here without a second report, so that all problems can be collected in one run.
#ifndef MFN_SERVER_BASE_CONFIG_NORMALISE_H_
#define MFN_SERVER_BASE_CONFIG_NORMALISE_H_

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "server/base/config.h"
#include "server/base/config_loader.h"
#include "server/base/config_problem.h"

namespace mfn {

// `path` is the field path of the value, for messages. `line` of the result stays 0.
InstanceConfig NormaliseInstance(const nlohmann::json& value, InstanceRole role,
                                 const std::string& path, Problems* problems);
PipelineConfig NormalisePipeline(const nlohmann::json& value, const std::string& path,
                                 Problems* problems);

// The server section ("server" may be absent: null) together with the environment.
ServerConfig NormaliseServer(const nlohmann::json& value, absl::string_view base_dir,
                             const EnvLookup& env, Problems* problems);

// Names that stand twice, and pipelines that name what is not there. The instances stand at
// connectors[i], publishers[i] and pipelines[i]. What is not quotable(path) is not shown.
using Quotable = std::function<bool(const std::string& path)>;
void CheckReferences(const Config& config, const Quotable& quotable, Problems* problems);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_NORMALISE_H_
