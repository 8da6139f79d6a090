// Small named blobs of a plugin instance (mfn.state/1). Thread-safe; durable when Put returns.
#ifndef MFN_SERVER_STORE_STATE_STORE_H_
#define MFN_SERVER_STORE_STATE_STORE_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::store {

class StateStore {
 public:
  virtual ~StateStore() = default;
  // INVALID_ARGUMENT: key over 1,024 bytes or value over 1 MiB.
  virtual absl::Status Put(absl::string_view owner, absl::string_view key,
                           absl::string_view value) = 0;
  virtual absl::Status Erase(absl::string_view owner, absl::string_view key) = 0;
  virtual absl::StatusOr<std::optional<std::string>> Get(absl::string_view owner,
                                                         absl::string_view key) = 0;
  // In key order, until `each` returns false.
  virtual absl::Status List(
      absl::string_view owner, absl::string_view prefix,
      const std::function<bool(absl::string_view key, absl::string_view value)>& each) = 0;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_STATE_STORE_H_
