// A component's JSON Schema (draft 7), compiled once: checks configurations and knows which of
// their fields are secrets. Immutable and thread-safe.
#ifndef MFN_SERVER_REGISTRY_SCHEMA_H_
#define MFN_SERVER_REGISTRY_SCHEMA_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::registry {

class ConfigSchema {
 public:
  // INVALID_ARGUMENT: not JSON, not an object, not a schema, or a $ref that leaves the document
  // (nothing is ever fetched) or that leads back to itself.
  static absl::StatusOr<std::unique_ptr<ConfigSchema>> Parse(absl::string_view schema);
  ~ConfigSchema();

  // INVALID_ARGUMENT "/path: <what is wrong>, expected <what the schema says there>"; the pointer
  // is that of the offending field. Values are not repeated: one may be a secret.
  absl::Status Validate(absl::string_view config_json) const;

  // The configuration with every field that is marked "writeOnly" replaced by "REDACTED"; "{}" if
  // it is not JSON.
  std::string Redacted(absl::string_view config_json) const;

 private:
  struct Compiled;
  explicit ConfigSchema(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_SCHEMA_H_
