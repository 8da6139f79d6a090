// Whether a file may be loaded into this process at all: its pin, and the probe. Thread-safe.
#ifndef MFN_SERVER_REGISTRY_ADMISSION_H_
#define MFN_SERVER_REGISTRY_ADMISSION_H_

#include <string>

#include "absl/status/status.h"
#include "server/registry/registry.h"

namespace mfn::registry {

// `path` is canonical. With pins, PERMISSION_DENIED for a file that has none or other contents.
// With a probe helper, what ProbePlugin says; contents that passed it once are remembered in
// options.state (if there is one) and not probed again by this version of the server.
absl::Status AdmitFile(const std::string& path, const RegistryOptions& options);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_ADMISSION_H_
