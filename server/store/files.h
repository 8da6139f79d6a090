// The few durable file operations that the store needs. Errors name the path; a full disk, a quota
// and a file size limit are RESOURCE_EXHAUSTED.
#ifndef MFN_SERVER_STORE_FILES_H_
#define MFN_SERVER_STORE_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::store {

// Makes the directory, mode 0700, and its parents; its entry is synced. OK if it is there.
absl::Status MakeDirectory(const std::string& path);

// Makes entries of the directory durable.
absl::Status SyncDirectory(const std::string& path);

// Makes a file that is not there yet, mode 0600, and syncs its bytes. On failure no file is left.
absl::Status WriteNewFile(const std::string& path, absl::string_view bytes);

absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_FILES_H_
