// ResourceStore over the table "resources". The etag is the row's revision, which is never used
// twice, not even after a Remove.
#ifndef MFN_SERVER_STORE_RESOURCE_TABLE_H_
#define MFN_SERVER_STORE_RESOURCE_TABLE_H_

#include <string>
#include <vector>

#include "server/store/connections.h"
#include "server/store/resource_store.h"

namespace mfn::store {

class ResourceTable final : public ResourceStore {
 public:
  // Both outlive the table.
  ResourceTable(Writer* writer, Reader* reader) : writer_(writer), reader_(reader) {}

  absl::StatusOr<std::string> Put(absl::string_view kind, absl::string_view name,
                                  absl::string_view body) override;
  absl::Status Remove(absl::string_view kind, absl::string_view name) override;
  absl::StatusOr<std::vector<Resource>> List(absl::string_view kind) override;

 private:
  Writer* const writer_;
  Reader* const reader_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_RESOURCE_TABLE_H_
