// The dead-letter part of mfn.v1.PipelineService, without gRPC.
#ifndef MFN_SERVER_RPC_DEAD_LETTERS_H_
#define MFN_SERVER_RPC_DEAD_LETTERS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mfn/v1/pipeline_service.pb.h"
#include "server/pipeline/pipeline.h"
#include "server/store/dead_letter_store.h"

namespace mfn::rpc {

inline constexpr size_t kListedPayloadBytes = 1024;
inline constexpr size_t kMaxPayloadBytes = size_t{2} << 20;

// Reads one letter at a time, so that memory is bounded by one payload, not by a page of them.
absl::Status ListDeadLetters(store::DeadLetterStore& letters,
                             const mfn::v1::ListDeadLettersRequest& request,
                             mfn::v1::ListDeadLettersResponse* response);
absl::Status GetDeadLetter(store::DeadLetterStore& letters,
                           const mfn::v1::GetDeadLetterRequest& request,
                           mfn::v1::DeadLetter* response);

// The number in "pipelines/{pipeline}/deadLetters/{number}"; NOT_FOUND if that pipeline has no such
// letter.
absl::StatusOr<int64_t> FindDeadLetter(store::DeadLetterStore& letters, const std::string& name);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_DEAD_LETTERS_H_
