// SHA-256 of a file, by which operators pin plugins and the server remembers which it has probed.
#ifndef MFN_SERVER_REGISTRY_FILE_DIGEST_H_
#define MFN_SERVER_REGISTRY_FILE_DIGEST_H_

#include <string>

#include "absl/status/statusor.h"

namespace mfn::registry {

// 64 lower-case hex digits, as sha256sum prints them. FAILED_PRECONDITION if it cannot be read.
absl::StatusOr<std::string> FileSha256(const std::string& path);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_FILE_DIGEST_H_
