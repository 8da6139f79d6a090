// How a failure inside the server becomes a gRPC status; the one place where that is decided.
//
//   return ToGrpc(status);
//
// Every gRPC error carries google.rpc.ErrorInfo: a stable UPPER_SNAKE_CASE reason, the domain
// "mfn.dev", metadata. A status that names a field (pipeline::FieldError) also carries
// google.rpc.BadRequest, one that says when to come back google.rpc.RetryInfo. Pure and
// thread-safe.
#ifndef MFN_SERVER_RPC_STATUS_H_
#define MFN_SERVER_RPC_STATUS_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace grpc {
class Status;
}

namespace mfn::rpc {

inline constexpr absl::string_view kErrorDomain = "mfn.dev";

using Metadata = std::initializer_list<std::pair<absl::string_view, std::string>>;

// A status with a reason ("CONNECTOR_NOT_FOUND") and what a program may want to know besides.
absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                   Metadata metadata = {});

// As Error, with the delay after which trying again makes sense.
absl::Status RetryLater(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                        absl::Duration delay, Metadata metadata = {});

// The reason of a status, whoever made it: of Error, or of pipeline::FieldError.
std::string ReasonOf(const absl::Status& status);

// The same status with `prefix` before the field it names, if it names one: for messages that hold
// the one which was checked.
absl::Status WithFieldPrefix(const absl::Status& status, absl::string_view prefix);

// Details are left out from the end where they would not fit into HTTP/2 headers (8 KiB).
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_STATUS_H_
