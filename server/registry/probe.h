// Loads an unknown library in another process first. Static initialisers run when a library is
// loaded, and some of what they do ends the process: a crash, exit, an endless loop, descriptors of
// protobuf that the server has too. mfn-plugin-probe (probe_main.cc) does what the server would do,
// and the server only follows if it came back.
#ifndef MFN_SERVER_REGISTRY_PROBE_H_
#define MFN_SERVER_REGISTRY_PROBE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace mfn::registry {

// The file descriptor on which the helper answers. A private one, since a plugin may print.
inline constexpr int kProbeFd = 3;

// The helper's answer, one line of JSON, and back.
std::string ProbeAnswer(const absl::Status& status);

// OK: `path` can be loaded. What the helper found wrong has the code and text that loading it here
// would have given; FAILED_PRECONDITION also when the library ended the helper or did not come back
// within `timeout`, or when the helper cannot be run. Blocks; thread-safe; spawns, never forks.
absl::Status ProbePlugin(const std::string& helper, const std::string& path,
                         absl::Duration timeout);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_PROBE_H_
