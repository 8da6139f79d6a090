// StateStore over the table "state".
#ifndef MFN_SERVER_STORE_STATE_TABLE_H_
#define MFN_SERVER_STORE_STATE_TABLE_H_

#include <functional>
#include <optional>
#include <string>

#include "server/store/connections.h"
#include "server/store/state_store.h"

namespace mfn::store {

class StateTable final : public StateStore {
 public:
  // Both outlive the table.
  StateTable(Writer* writer, Reader* reader) : writer_(writer), reader_(reader) {}

  absl::Status Put(absl::string_view owner, absl::string_view key,
                   absl::string_view value) override;
  // OK also when there is no such key.
  absl::Status Erase(absl::string_view owner, absl::string_view key) override;
  absl::StatusOr<std::optional<std::string>> Get(absl::string_view owner,
                                                 absl::string_view key) override;
  // Reads in steps of some entries: a key that changes meanwhile is seen either way. `each` runs
  // without a lock and may call the store.
  absl::Status List(
      absl::string_view owner, absl::string_view prefix,
      const std::function<bool(absl::string_view key, absl::string_view value)>& each) override;

 private:
  Writer* const writer_;
  Reader* const reader_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_STATE_TABLE_H_
