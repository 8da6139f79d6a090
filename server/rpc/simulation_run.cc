#include "server/rpc/simulation_run.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/pipeline/field_proto.h"

namespace mfn::rpc {
namespace {

static_assert(std::endian::native == std::endian::little, "fields travel as little-endian bytes");

constexpr int64_t kSmallGrid = 64;
constexpr int64_t kSmallCellSteps = 32768;

// The three arrays, what the features gathered, and the rest.
int64_t SnapshotBytes(int64_t field) { return 3 * field + (int64_t{66} << 10); }

absl::Status TooLarge(absl::string_view name, std::string what) {
  return pipeline::FieldError(name, "FIELD_TOO_LARGE",
                              absl::StrCat(what, " does not fit into the ", kMaxReplyFieldBytes,
                                           " bytes of a reply; use SimulationService.RunStream"));
}

absl::Status CheckReplySize(const mfn::v1::SimulationRequest& request,
                            const pipeline::SimulationJob& job) {
  const int64_t field = 8 * job.config.grid_size * job.config.grid_size;
  if (request.include_history() && job.compat) {
    return pipeline::FieldError("include_history", "INVALID_VALUE",
                                "include_history must be absent in SIMULATION_MODE_REQUEST_COMPAT");
  }
  int64_t left = kMaxReplyFieldBytes - (request.include_field() ? field : 0);
  if (left < 0) {
    return TooLarge("include_field", absl::StrCat("the field of ", field, " bytes"));
  }
  left -= request.include_snapshot() ? SnapshotBytes(field) : 0;
  if (left < 0) {
    return TooLarge("include_snapshot",
                    absl::StrCat("a snapshot of ", SnapshotBytes(field), " bytes"));
  }
  const int64_t frames = pipeline::FurtherSteps(job);
  if (!request.include_history() || frames <= left / field) return absl::OkStatus();
  return TooLarge("include_history",
                  absl::StrCat("a history of ", frames, " frames of ", field, " bytes"));
}

void AddFields(const mfn::v1::SimulationRequest& request, const engine::RunResult& run,
               mfn::v1::SimulationResult* result) {
  const mfn::v1::FieldEncoding encoding = request.field_encoding();
  if (request.include_field()) {
    pipeline::WriteField(run.field, run.grid_size, encoding, result->mutable_field());
  }
  if (request.include_history()) {
    pipeline::WriteSeries(run.history, run.grid_size, encoding, result->mutable_history());
  }
}

}  // namespace

bool IsSmall(const mfn::v1::SimulationRequest& request) {
  if (request.has_initial_field() || request.has_initial_activator() ||
      request.has_initial_inhibitor() || request.has_resume_from() || request.include_history() ||
      request.include_snapshot()) {
    return false;
  }
  if (!request.pattern_preset().empty()) return false;
  const int64_t n = request.has_grid_size() ? request.grid_size() : 64;
  const int64_t steps = request.has_steps() ? request.steps() : 64;
  return n <= kSmallGrid && steps <= kSmallCellSteps && n * n * steps <= kSmallCellSteps;
}

int64_t MemoryOf(const mfn::v1::SimulationRequest& request) {
  const bool fields =
      request.include_field() || request.include_history() || request.include_snapshot();
  return 2 * static_cast<int64_t>(request.ByteSizeLong()) + (fields ? 2 * kMaxReplyFieldBytes : 0) +
         4096;
}

absl::Status CheckRequestId(const mfn::v1::SimulationRequest& request) {
  if (request.request_id().size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return pipeline::FieldError("request_id", "LIMIT_EXCEEDED",
                              absl::StrCat("request_id has ", request.request_id().size(),
                                           " bytes, at most ", kMaxRequestIdBytes, " are allowed"));
}

absl::Status RunToResult(const mfn::v1::SimulationRequest& request, const Cancellation& cancel,
                         engine::Simulation* arena, mfn::v1::SimulationResult* result) {
  if (absl::Status s = CheckRequestId(request); !s.ok()) return s;
  auto job = pipeline::FromProto(request);
  if (!job.ok()) return job.status();
  if (absl::Status s = CheckReplySize(request, *job); !s.ok()) return s;
  engine::RunOptions options = pipeline::OptionsOf(*job);
  options.arena = arena;
  options.cancel = [&cancel] { return cancel.cancelled(); };
  options.history = request.include_history();
  options.snapshot = request.include_snapshot();
  auto run = pipeline::RunJob(*job, options, result);
  if (!run.ok()) return run.status();
  result->set_request_id(request.request_id());
  if (run->features) AddWarnings(*run->features, result);
  AddFields(request, *run, result);
  return absl::OkStatus();
}

void SetBytes(std::span<const double> values, std::string* bytes) {
  bytes->assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

void AddWarnings(const engine::Features& features, mfn::v1::SimulationResult* result) {
  for (std::string& warning : engine::FeatureWarnings(features)) {
    result->add_warnings(std::move(warning));
  }
}

}  // namespace mfn::rpc
