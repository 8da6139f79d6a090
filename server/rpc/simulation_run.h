// One simulation of a request, for the methods that answer with a whole result.
#ifndef MFN_SERVER_RPC_SIMULATION_RUN_H_
#define MFN_SERVER_RPC_SIMULATION_RUN_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "mfn/v1/simulation.pb.h"
#include "server/base/cancellation.h"
#include "server/engine/features.h"
#include "server/engine/simulation.h"
#include "server/pipeline/codec.h"

namespace mfn::rpc {

// What a reply may carry of fields; default clients refuse messages of more than 4 MiB.
inline constexpr int64_t kMaxReplyFieldBytes = int64_t{2} << 20;
inline constexpr size_t kMaxRequestIdBytes = 256;

// Whether it takes so little (some 100 us) that handing it to another thread would cost as much.
// Says nothing about whether the request is valid.
bool IsSmall(const mfn::v1::SimulationRequest& request);

// Bytes that the request and its result take outside the arena, at most; for MemoryBudget.
int64_t MemoryOf(const mfn::v1::SimulationRequest& request);

// The checks that only gRPC makes: the length of request_id.
absl::Status CheckRequestId(const mfn::v1::SimulationRequest& request);

// Checks, runs and fills the result. `arena` may be null. Errors name the field; FIELD_TOO_LARGE
// before anything is computed.
absl::Status RunToResult(const mfn::v1::SimulationRequest& request, const Cancellation& cancel,
                         engine::Simulation* arena, mfn::v1::SimulationResult* result);

// Little-endian float64.
void SetBytes(std::span<const double> values, std::string* bytes);

// What looks implausible in the features, as warnings of the result.
void AddWarnings(const engine::Features& features, mfn::v1::SimulationResult* result);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_SIMULATION_RUN_H_
