// A configuration file, and what an RPC says in its place.
//
// Beyond not crashing: a configuration that loads can be printed, loads again from there, and then
// prints as the same text. Files are not referred to: a reference could name one that blocks.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "server/base/config_loader.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

std::optional<std::string> Env(const std::string& name) {
  if (name == "PORT") return "50051";
  if (name == "SECRET") return "hunter2hunter2";
  return std::nullopt;
}

std::string Print(const mfn::Config& config) {
  return mfn::PrintConfig(config,
                          [](const mfn::InstanceConfig& instance) { return instance.config_json; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)mfn::ParseInstanceJson(text, mfn::InstanceRole::kConnector);
  (void)mfn::ParsePipelineJson(text);
  if (absl::StrContains(text, "file:")) return 0;
  auto config = mfn::LoadConfigText(text, "fuzz.yaml", "", Env);
  if (!config.ok()) {
    Require(!config.status().message().empty());
    return 0;
  }
  // Keys are secret: they are not printed, and without them what needs keys is refused.
  config->server.api_keys.clear();
  const std::string printed = Print(*config);
  auto again = mfn::LoadConfigText(printed, "printed.yaml", "", Env);
  if (!again.ok()) {
    Require(absl::StrContains(again.status().message(), "key"));
    return 0;
  }
  Require(Print(*again) == printed);
  return 0;
}
