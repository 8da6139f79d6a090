// What makes a repeated request recognisable: its key, the seed that follows from the key, and a
// digest of its result. Pure and thread-safe.
#ifndef MFN_SERVER_PIPELINE_IDEMPOTENCY_H_
#define MFN_SERVER_PIPELINE_IDEMPOTENCY_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/engine/features.h"
#include "server/engine/seed.h"

namespace mfn::pipeline {

// The first 128 bits of a SHA-256, as 32 hex digits. Every part is hashed with its length, so that
// no two different requests share a text. The engine's revision is not part of it: an upgrade must
// not make a redelivered request look new.
std::string IdempotencyKey(absl::string_view pipeline, absl::string_view source,
                           absl::string_view record_id, int64_t item_index);

// The seed of a request that brings none: 63 bits of a hash of the key, so that it fits a signed
// integer everywhere.
engine::Seed SeedFromKey(absl::string_view key);

// SHA-256 of the 18 features as little-endian float64, 64 hex digits. Equal digests mean equal
// bits.
std::string FeatureDigest(const engine::Features& features);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_IDEMPOTENCY_H_
