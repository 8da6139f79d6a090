// The messages of a pipeline: requests as they come in (proto3 JSON of mfn.v1.SimulationRequest),
// what the engine is given, and results as they go out (proto3 JSON of mfn.v1.SimulationResult,
// snake_case). gRPC uses the parts in the middle.
//
//   DecodedPayload payload = DecodePayload(bytes, "application/json");
//   for (DecodedItem& item : payload.items)
//     if (item.status.ok()) { auto job = FromProto(item.request); ... RunJob(*job, OptionsOf(*job),
//     &result) ... }
//
// Every bad input is an absl::Status that says which field and which bound (FieldOf, ReasonOf).
// Nothing here throws or logs; everything is pure and thread-safe. JSON text itself is in
// json_reader.h.
#ifndef MFN_SERVER_PIPELINE_CODEC_H_
#define MFN_SERVER_PIPELINE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "mfn/v1/simulation.pb.h"
#include "server/engine/config.h"
#include "server/engine/error.h"
#include "server/engine/features.h"
#include "server/engine/rng.h"
#include "server/engine/run.h"

namespace mfn::pipeline {

// Changes when a result could differ in any bit for the same request and seed. It travels in every
// result, beside the idempotency key and not in it.
inline constexpr absl::string_view kEngineRevision = "mfn-4.1-f64-3";
// The same for Precision::kFast.
inline constexpr absl::string_view kFastEngineRevision = "mfn-4.1-f32-2";

struct CodecLimits {
  size_t max_bytes = size_t{64} << 20;  // of one payload
  int max_depth = 64;                   // nested objects and lists
  size_t max_items = 65536;             // requests in one list
  engine::Limits engine;                // N and N * N * T
};

// An INVALID_ARGUMENT that carries the field ("grid_size"; empty: the message as a whole) and a
// reason in UPPER_SNAKE_CASE besides its text, for google.rpc.BadRequest and ErrorInfo.
absl::Status FieldError(absl::string_view field, absl::string_view reason,
                        absl::string_view message);
std::string FieldOf(const absl::Status& status);   // empty: none
std::string ReasonOf(const absl::Status& status);  // of any status; the code's name if none was set

// Every configuration error of the engine is INVALID_ARGUMENT (also a limit); only
// kNumericalInstability (INTERNAL) and kCancelled (CANCELLED) differ. Field and reason are set.
absl::Status ToStatus(const engine::Error& error);

// One request of a record.
struct DecodedItem {
  absl::string_view bytes;             // its part of the payload, borrowed
  absl::Status status;                 // why it is no request, else ok
  mfn::v1::SimulationRequest request;  // what could be read of it (request_id) when it is bad
  std::vector<std::string> warnings;   // unknown fields, by name
};

struct DecodedPayload {
  bool list = false;
  std::vector<DecodedItem> items;  // never empty: a payload that is nothing is one bad item
};

// `content_type` may be empty or anything that can be JSON. The payload must outlive the result.
DecodedPayload DecodePayload(absl::string_view payload, absl::string_view content_type,
                             const CodecLimits& limits = {});

// Where a run goes on, besides its fields.
struct ResumePoint {
  engine::Generator generator{uint64_t{0}};
  engine::Counters counters;
  engine::FeatureState features;
};

// What the engine needs to run a request.
struct SimulationJob {
  engine::SimulationConfig config;  // without a seed if the request has none
  engine::FeatureConfig features;
  std::vector<double> initial_field;      // volt, N x N; empty: drawn
  std::vector<double> initial_activator;  // N x N; empty: drawn
  std::vector<double> initial_inhibitor;  // N x N; empty: drawn
  std::optional<ResumePoint> resume;      // config.steps counts the steps before it too
  bool compat = false;                    // SIMULATION_MODE_REQUEST_COMPAT
  std::string pattern_preset;             // as asked for; its values are in config
};

// Steps that are to be run: all but those before a snapshot.
int64_t FurtherSteps(const SimulationJob& job);

// The revision that its result has.
absl::string_view RevisionOf(const SimulationJob& job);

// The options of RunSimulation for a job (not a compat one): features, and the initial state, which
// is borrowed from the job.
engine::RunOptions OptionsOf(const SimulationJob& job);

// Applies the defaults, then every limit and the engine's own checks, so that a job which comes
// back runs.
absl::StatusOr<SimulationJob> FromProto(const mfn::v1::SimulationRequest& request,
                                        const CodecLimits& limits = {});

// FromProto of a request with resume_from.
absl::StatusOr<SimulationJob> ResumeFromProto(const mfn::v1::SimulationRequest& request,
                                              const CodecLimits& limits);

// Runs a job of either mode, a large one with the help of CoresOfProcess. `options` are those of
// OptionsOf plus what the caller adds (observer, cancel, arena, snapshot; a compat job knows cancel
// only); a job without a seed draws one. Fills `result` as ToProto does, and its snapshot if the
// options ask for one; warns of kinetics that cannot form a pattern.
absl::StatusOr<engine::RunResult> RunJob(const SimulationJob& job,
                                         const engine::RunOptions& options,
                                         mfn::v1::SimulationResult* result);

// Fills everything that a run says (status, configuration in effect, seed, counters, statistics,
// features, revision, timing) except what only the caller knows: request_id, idempotency_key,
// warnings. Field and history are not included.
void ToProto(const SimulationJob& job, const engine::RunResult& run,
             mfn::v1::SimulationResult* result);

// Result.snapshot. `run` has what RunOptions::snapshot keeps, `result` what ToProto wrote.
void SnapshotToProto(const SimulationJob& job, const engine::RunResult& run,
                     mfn::v1::SimulationResult* result);
// Every parameter that is in effect.
void FeatureConfigToProto(const engine::FeatureConfig& from, mfn::v1::FeatureConfig* to);

// The error envelope: status STATUS_ERROR, error and revision.
void ErrorToProto(const absl::Status& status, mfn::v1::SimulationResult* result);

// Proto3 JSON of a result, snake_case, one line. Same meaning as protobuf's own, several times
// faster.
std::string ToJson(const mfn::v1::SimulationResult& result);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_CODEC_H_
