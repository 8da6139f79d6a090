// A plugin's JSON Schema, and a configuration judged by it. Input: the schema, a zero byte, the
// configuration.
//
// Beyond not crashing: what is shown of a configuration is JSON, and a refusal says why.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "server/registry/schema.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = input.find('\0');
  if (cut == absl::string_view::npos) return 0;
  auto schema = mfn::registry::ConfigSchema::Parse(input.substr(0, cut));
  if (!schema.ok()) {
    Require(!schema.status().message().empty());
    return 0;
  }
  const absl::string_view config = input.substr(cut + 1);
  const absl::Status valid = (*schema)->Validate(config);
  Require(valid.ok() || !valid.message().empty());
  Require(nlohmann::json::accept((*schema)->Redacted(config)));
  return 0;
}
