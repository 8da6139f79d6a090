// The Store that Store::Open returns, and what a test may change about it.
#ifndef MFN_SERVER_STORE_SQLITE_STORE_H_
#define MFN_SERVER_STORE_SQLITE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace mfn::store {

struct SqliteStoreOptions {
  size_t max_inline_payload = size_t{16} << 20;  // bytes; bigger payloads are files
  int64_t max_pages = 0;  // the database may not grow beyond, as on a full disk; 0: no limit
};

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& directory,
                                                       const SqliteStoreOptions& options);

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_SQLITE_STORE_H_
