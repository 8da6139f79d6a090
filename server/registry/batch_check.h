// Whether a batch that a plugin returned can be looked at. Finds what can be found without
// following a wild pointer: counts and lengths that cannot be, NULL where data must be, and numbers
// that are no address in any process.
#ifndef MFN_SERVER_REGISTRY_BATCH_CHECK_H_
#define MFN_SERVER_REGISTRY_BATCH_CHECK_H_

#include <cstdint>
#include <string>

#include "mfn/plugin.h"

namespace mfn::registry {

struct BatchLimits {
  uint64_t max_records = 0;  // as asked
  uint64_t max_bytes = 0;    // as asked; one record may be larger, up to kMaxBatchBytes
};

// No batch holds more than this, whatever was asked.
inline constexpr uint64_t kMaxBatchBytes = uint64_t{1} << 30;

// Empty, or what is wrong.
std::string BatchFault(const mfn_batch& batch, const BatchLimits& limits);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_BATCH_CHECK_H_
