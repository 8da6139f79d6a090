// Snapshots: from a run to a message, and from the message to a job that goes on.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/features.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/field_proto.h"

namespace mfn::pipeline {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using mfn::v1::SimulationRequest;
using mfn::v1::Snapshot;

// What a request that resumes may say besides.
constexpr absl::string_view kFree[] = {"request_id",    "steps",           "resume_from",
                                       "include_field", "include_history", "include_snapshot",
                                       "field_encoding"};

absl::Status CheckNothingElse(const SimulationRequest& request) {
  std::vector<const FieldDescriptor*> present;
  request.GetReflection()->ListFields(request, &present);
  for (const FieldDescriptor* field : present) {
    if (std::find(std::begin(kFree), std::end(kFree), field->name()) != std::end(kFree)) continue;
    return FieldError(field->name(), "INVALID_VALUE",
                      absl::StrCat(field->name(),
                                   " must be absent with resume_from, which says "
                                   "what is computed"));
  }
  return absl::OkStatus();
}

absl::Status CheckComplete(const Snapshot& snapshot) {
  const std::pair<const char*, bool> parts[] = {
      {"config", snapshot.has_config()},       {"seed", !snapshot.seed().empty()},
      {"field", snapshot.has_field()},         {"activator", snapshot.has_activator()},
      {"inhibitor", snapshot.has_inhibitor()}, {"generator", snapshot.has_generator()},
      {"features", snapshot.has_features()}};
  for (const auto& [name, present] : parts) {
    if (present) continue;
    const std::string field = absl::StrCat("resume_from.", name);
    return FieldError(field, "REQUIRED",
                      absl::StrCat(field, " is missing: a snapshot is handed back as it was made"));
  }
  return absl::OkStatus();
}

// Copies one field of `from` to one of the same name and type; a test says that all have one.
void CopyField(const Message& from, const FieldDescriptor& field, const FieldDescriptor& to_field,
               Message* to) {
  const google::protobuf::Reflection& in = *from.GetReflection();
  const google::protobuf::Reflection& out = *to->GetReflection();
  switch (to_field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return out.SetInt32(to, &to_field, in.GetInt32(from, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return out.SetInt64(to, &to_field, in.GetInt64(from, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return out.SetDouble(to, &to_field, in.GetDouble(from, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return out.SetBool(to, &to_field, in.GetBool(from, &field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return out.SetEnumValue(to, &to_field, in.GetEnumValue(from, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return out.SetString(to, &to_field, in.GetString(from, &field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return out.MutableMessage(to, &to_field)->CopyFrom(in.GetMessage(from, &field));
    default:
      return;
  }
}

// A request for the snapshot's configuration, whose fields have the same names there.
SimulationRequest RequestOf(const Snapshot& snapshot) {
  SimulationRequest request;
  std::vector<const FieldDescriptor*> present;
  const Message& config = snapshot.config();
  config.GetReflection()->ListFields(config, &present);
  for (const FieldDescriptor* from : present) {
    const FieldDescriptor* to = request.GetDescriptor()->FindFieldByName(from->name());
    if (to == nullptr || from->name() == "steps") continue;
    CopyField(config, *from, *to, &request);
  }
  request.set_wide_seed(snapshot.seed());
  *request.mutable_feature_config() = snapshot.feature_config();
  return request;
}

absl::Status Damaged(absl::string_view part, absl::string_view what) {
  const std::string field = absl::StrCat("resume_from.", part);
  return FieldError(field, "INVALID_VALUE", absl::StrCat(field, " ", what));
}

absl::Status ReadGenerator(const mfn::v1::GeneratorState& from, ResumePoint* point) {
  const auto join = [](uint64_t high, uint64_t low) {
    return static_cast<engine::Uint128>(high) << 64 | low;
  };
  if (from.increment_low() % 2 == 0) {
    return Damaged("generator.increment_low", "is even, which no generator's is");
  }
  engine::Generator::State state;
  state.state = join(from.state_high(), from.state_low());
  state.inc = join(from.increment_high(), from.increment_low());
  if (from.has_buffered()) state.buffered = from.buffered();
  point->generator = engine::Generator(state);
  return absl::OkStatus();
}

// What is counted on top of these stays far below 2^63: no step counts a cell twice.
absl::Status ReadCounters(const Snapshot& snapshot, int64_t grid_size, engine::Counters* counters) {
  const uint64_t steps = snapshot.config().steps();
  const uint64_t most = steps * static_cast<uint64_t>(grid_size * grid_size);
  if (steps < 1) return Damaged("config.steps", "is 0, must be at least 1");
  if (snapshot.growth_events() > steps) {
    return Damaged("growth_events", "is more than one for each step");
  }
  if (snapshot.turing_activations() > most) {
    return Damaged("turing_activations", "is more than one for each cell and step");
  }
  if (snapshot.clamping_events() > most) {
    return Damaged("clamping_events", "is more than one for each cell and step");
  }
  counters->steps_computed = static_cast<int64_t>(steps);
  counters->growth_events = static_cast<int64_t>(snapshot.growth_events());
  counters->turing_activations = static_cast<int64_t>(snapshot.turing_activations());
  counters->clamping_events = static_cast<int64_t>(snapshot.clamping_events());
  return absl::OkStatus();
}

absl::Status ReadFeatureState(const mfn::v1::FeatureState& from, int64_t frames, int64_t grid_size,
                              engine::FeatureState* to) {
  if (from.pending().size() % sizeof(double) != 0) {
    return Damaged("features.pending",
                   absl::StrCat("has ", from.pending().size(), " bytes, must be float64 values"));
  }
  to->frames = frames;
  to->stable_run = from.stable_run();
  if (from.has_stable_at()) to->stable_at = from.stable_at();
  to->change_sum = from.change_sum();
  to->change_max = from.change_max();
  to->energy_mean = from.energy_mean();
  to->energy_covariance = from.energy_covariance();
  to->pending.resize(from.pending().size() / sizeof(double));
  if (!to->pending.empty()) {
    std::memcpy(to->pending.data(), from.pending().data(), from.pending().size());
  }
  auto valid = to->Validate(grid_size);
  if (valid.ok()) return absl::OkStatus();
  return FieldError("resume_from.features", "INVALID_VALUE",
                    absl::StrCat("resume_from.", valid.error().message));
}

absl::Status CheckRevision(const Snapshot& snapshot, const SimulationJob& job) {
  const absl::string_view own = RevisionOf(job);
  if (snapshot.engine_revision() == own) return absl::OkStatus();
  return FieldError(
      "resume_from.engine_revision", "REVISION_MISMATCH",
      absl::StrCat("resume_from.engine_revision is \"", snapshot.engine_revision().substr(0, 64),
                   "\", but this engine is \"", own,
                   "\" and could not continue to the same bits; run it from the "
                   "start"));
}

}  // namespace

absl::StatusOr<SimulationJob> ResumeFromProto(const SimulationRequest& request,
                                              const CodecLimits& limits) {
  const Snapshot& snapshot = request.resume_from();
  if (absl::Status s = CheckNothingElse(request); !s.ok()) return s;
  if (absl::Status s = CheckComplete(snapshot); !s.ok()) return s;
  SimulationRequest again = RequestOf(snapshot);
  auto checked = FromProto(again, limits);
  if (checked.ok() && request.has_steps()) {  // which the limits depend on
    again.set_steps(request.steps());
    checked = FromProto(again, limits);
    if (!checked.ok()) return checked.status();
  }
  if (!checked.ok()) {
    return FieldError("resume_from.config", ReasonOf(checked.status()),
                      absl::StrCat("resume_from.config: ", checked.status().message()));
  }
  SimulationJob job = *std::move(checked);
  if (job.compat) return Damaged("config.mode", "must be SIMULATION_MODE_FIELD");
  if (absl::Status s = CheckRevision(snapshot, job); !s.ok()) return s;
  const int64_t n = job.config.grid_size;
  ResumePoint point;
  for (const absl::Status& s :
       {ReadGrid(snapshot.field(), "resume_from.field", n, &job.initial_field),
        ReadGrid(snapshot.activator(), "resume_from.activator", n, &job.initial_activator),
        ReadGrid(snapshot.inhibitor(), "resume_from.inhibitor", n, &job.initial_inhibitor),
        ReadGenerator(snapshot.generator(), &point), ReadCounters(snapshot, n, &point.counters),
        ReadFeatureState(snapshot.features(), snapshot.config().steps(), n, &point.features)}) {
    if (!s.ok()) return s;
  }
  job.config.steps += point.counters.steps_computed;
  if (job.config.steps > std::numeric_limits<uint32_t>::max()) {
    return FieldError(
        "steps", "LIMIT_EXCEEDED",
        absl::StrCat("steps makes ", job.config.steps, " with those of the snapshot, at most ",
                     std::numeric_limits<uint32_t>::max(), " are counted"));
  }
  job.resume = std::move(point);
  return job;
}

void SnapshotToProto(const SimulationJob& job, const engine::RunResult& run,
                     mfn::v1::SimulationResult* result) {
  Snapshot* to = result->mutable_snapshot();
  to->set_engine_revision(result->engine_revision());
  *to->mutable_config() = result->config();
  to->mutable_config()->set_steps(result->steps_computed());
  FeatureConfigToProto(job.features, to->mutable_feature_config());
  to->set_seed(result->seed());
  to->set_growth_events(result->growth_events());
  to->set_turing_activations(result->turing_activations());
  to->set_clamping_events(result->clamping_events());
  const auto raw = mfn::v1::FIELD_ENCODING_RAW;
  WriteField(run.field, run.grid_size, raw, to->mutable_field());
  WriteField(run.activator, run.grid_size, raw, to->mutable_activator());
  WriteField(run.inhibitor, run.grid_size, raw, to->mutable_inhibitor());
  mfn::v1::GeneratorState* generator = to->mutable_generator();
  generator->set_state_high(static_cast<uint64_t>(run.generator->state() >> 64));
  generator->set_state_low(static_cast<uint64_t>(run.generator->state()));
  generator->set_increment_high(static_cast<uint64_t>(run.generator->inc() >> 64));
  generator->set_increment_low(static_cast<uint64_t>(run.generator->inc()));
  if (run.generator->has_uint32()) generator->set_buffered(run.generator->uinteger());
  mfn::v1::FeatureState* features = to->mutable_features();
  const engine::FeatureState& state = *run.feature_state;
  features->set_stable_run(state.stable_run);
  if (state.stable_at) features->set_stable_at(*state.stable_at);
  features->set_change_sum(state.change_sum);
  features->set_change_max(state.change_max);
  features->set_energy_mean(state.energy_mean);
  features->set_energy_covariance(state.energy_covariance);
  features->set_pending(state.pending.data(), state.pending.size() * sizeof(double));
}

}  // namespace mfn::pipeline
