// Opens shared objects and finds the plugin's entry point. What was opened stays open for the life
// of the process: thread-local destructors make unloading unsafe. Thread-safe.
#ifndef MFN_SERVER_REGISTRY_LIBRARY_H_
#define MFN_SERVER_REGISTRY_LIBRARY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mfn/plugin.h"

namespace mfn::registry {

// FAILED_PRECONDITION unless it is a directory that not everybody can write to: who can write there
// runs code in this process.
absl::Status CheckPluginDirectory(const std::string& dir);

// Paths of the files that end in ".so", sorted.
absl::StatusOr<std::vector<std::string>> PluginFiles(const std::string& dir);

// What can be told without running any of it. NOT_FOUND: no such file; FAILED_PRECONDITION:
// writable by everybody; INVALID_ARGUMENT: no whole shared object of this machine.
absl::Status CheckSharedObject(const std::string& path);

// The descriptor that a checked library returns, which lives for ever. INVALID_ARGUMENT: no plugin;
// FAILED_PRECONDITION: the linker's words (a missing dependency), or another ABI version.
absl::StatusOr<const mfn_plugin*> OpenPlugin(const std::string& path);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_LIBRARY_H_
