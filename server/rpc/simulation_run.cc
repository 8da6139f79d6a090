#include "server/rpc/simulation_run.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace mfn::rpc {
namespace {

static_assert(std::endian::native == std::endian::little, "fields travel as little-endian bytes");

constexpr int64_t kSmallGrid = 64;
constexpr int64_t kSmallCellSteps = 32768;

absl::Status CheckReplySize(const mfn::v1::SimulationRequest& request,
                            const engine::SimulationConfig& config, bool compat) {
  const int64_t field = 8 * config.grid_size * config.grid_size;
  if (request.include_history()) {
    if (compat) {
      return pipeline::FieldError(
          "include_history", "INVALID_VALUE",
          "include_history must be absent in SIMULATION_MODE_REQUEST_COMPAT");
    }
    const int64_t frames = kMaxReplyFieldBytes / field - (request.include_field() ? 1 : 0);
    if (config.steps > frames) {
      return pipeline::FieldError(
          "include_history", "FIELD_TOO_LARGE",
          absl::StrCat("a history of ", config.steps, " frames of ", field,
                       " bytes does not fit into the ", kMaxReplyFieldBytes,
                       " bytes of a reply; use SimulationService.RunStream with frame_interval 1"));
    }
  }
  if (request.include_field() && field > kMaxReplyFieldBytes) {
    return pipeline::FieldError(
        "include_field", "FIELD_TOO_LARGE",
        absl::StrCat("the field takes ", field, " bytes, a reply takes ", kMaxReplyFieldBytes,
                     "; use SimulationService.RunStream, which sends it in chunks"));
  }
  return absl::OkStatus();
}

void AddFields(const mfn::v1::SimulationRequest& request, const engine::RunResult& run,
               mfn::v1::SimulationResult* result) {
  const int32_t n = static_cast<int32_t>(run.grid_size);
  if (request.include_field()) {
    result->mutable_field()->set_rows(n);
    result->mutable_field()->set_cols(n);
    SetBytes(run.field, result->mutable_field()->mutable_data());
  }
  if (request.include_history()) {
    result->mutable_history()->set_frames(run.counters.steps_computed);
    result->mutable_history()->set_rows(n);
    result->mutable_history()->set_cols(n);
    SetBytes(run.history, result->mutable_history()->mutable_data());
  }
}

}  // namespace

bool IsSmall(const mfn::v1::SimulationRequest& request) {
  if (request.has_initial_field() || request.include_history()) return false;
  if (!request.pattern_preset().empty()) return false;
  const int64_t n = request.has_grid_size() ? request.grid_size() : 64;
  const int64_t steps = request.has_steps() ? request.steps() : 64;
  return n <= kSmallGrid && steps <= kSmallCellSteps && n * n * steps <= kSmallCellSteps;
}

int64_t MemoryOf(const mfn::v1::SimulationRequest& request) {
  const bool fields = request.include_field() || request.include_history();
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
  if (absl::Status s = CheckReplySize(request, job->config, job->compat); !s.ok()) return s;
  engine::RunOptions options = pipeline::OptionsOf(*job);
  options.arena = arena;
  options.cancel = [&cancel] { return cancel.cancelled(); };
  options.history = request.include_history();
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
