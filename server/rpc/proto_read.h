// Reading of messages that several services take: seeds, page tokens, resource names. Every
// error is an INVALID_ARGUMENT that names the field. Pure and thread-safe.
#ifndef MFN_SERVER_RPC_PROTO_READ_H_
#define MFN_SERVER_RPC_PROTO_READ_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/engine/seed.h"

namespace google::protobuf {
class Duration;
class Timestamp;
}  // namespace google::protobuf

namespace mfn::rpc {

// The seed of a request with `seed` and `wide_seed`; one from the operating system if it has
// neither.
absl::StatusOr<engine::Seed> ReadSeed(bool has_seed, uint64_t seed, const std::string& wide_seed);

// INVALID_ARGUMENT on `field` unless min <= value <= max.
absl::Status CheckRange(absl::string_view field, double value, double min, double max);

// The id in "collection/id": [a-z0-9][a-z0-9_-]{0,62}. `field` is "name" or whatever holds it.
absl::StatusOr<std::string> ReadName(absl::string_view name, absl::string_view collection,
                                     absl::string_view field);
// Plain ids are accepted too.
absl::StatusOr<std::string> ReadReference(absl::string_view name, absl::string_view collection,
                                          absl::string_view field);
absl::Status CheckId(absl::string_view id, absl::string_view field);

absl::StatusOr<absl::Duration> ReadDuration(const google::protobuf::Duration& duration,
                                            absl::string_view field, absl::Duration min,
                                            absl::Duration max);
void SetDuration(absl::Duration duration, google::protobuf::Duration* out);

void SetTime(absl::Time time, google::protobuf::Timestamp* out);

// A page of a list that is sorted by key.
struct Page {
  size_t size = 50;
  std::string after;  // the key of the last element of the page before; empty: from the first
};
inline constexpr int kMaxPageSize = 1000;
absl::StatusOr<Page> ReadPage(int page_size, const std::string& page_token);
// Opaque to clients; survives a restart of the server.
std::string PageToken(absl::string_view last_key);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_PROTO_READ_H_
