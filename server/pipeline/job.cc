// Between messages and the engine: requests to jobs, jobs to results.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/engine/request_simulation.h"
#include "server/engine/rng.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/cores_of_process.h"
#include "server/pipeline/field_proto.h"
#include "server/pipeline/kinetics_proto.h"
#include "server/pipeline/simulation_figures.h"

namespace mfn::pipeline {
namespace {

using mfn::v1::SimulationRequest;

constexpr int64_t kMaxSteps = std::numeric_limits<uint32_t>::max();

// Finite first: the engine lets NaN pass where the reference does.
absl::Status CheckFinite(const engine::SimulationConfig& c, bool compat) {
  const bool mfn = std::holds_alternative<engine::Mfn>(c.kinetics);
  const struct {
    const char* field;
    double value;
    const char* range;
  } numbers[] = {
      {"alpha", c.alpha, "in [0.05, 0.25)"},
      {"spike_probability", c.spike_probability, "in [0, 1]"},
      {"turing_threshold", c.turing_threshold, mfn ? "in [0.5, 0.95]" : "in [-1e6, 1e6]"},
      {"jitter_var", c.jitter_var, "in [0, 0.01]"},
      {"d_activator", c.d_activator, "in [0.01, 0.25)"},
      {"d_inhibitor", c.d_inhibitor, "in [0.01, 0.25)"},
      {"r_activator", c.r_activator, "in [0.001, 0.1]"},
      {"r_inhibitor", c.r_inhibitor, "in [0.001, 0.1]"}};
  for (const auto& number : numbers) {
    if (std::isfinite(number.value)) continue;
    return FieldError(number.field, "NOT_FINITE",
                      absl::StrCat(number.field, " is ", number.value, ", must be ",
                                   compat ? "a finite number" : number.range));
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const engine::SimulationConfig& c, const engine::Limits& limits) {
  if (c.grid_size > limits.max_grid_size) {
    return FieldError("grid_size", "LIMIT_EXCEEDED",
                      absl::StrCat("grid_size is ", c.grid_size, ", must be in [",
                                   engine::kMinGridSize, ", ", limits.max_grid_size, "]"));
  }
  const int64_t most =
      std::min(kMaxSteps, limits.max_cell_steps / std::max<int64_t>(1, c.grid_size * c.grid_size));
  if (c.steps > most) {
    return FieldError(
        "steps", "LIMIT_EXCEEDED",
        absl::StrCat("steps is ", c.steps, ", must be in [1, ", most, "] at grid_size ",
                     c.grid_size, " (grid_size * grid_size * steps up to ",
                     limits.max_cell_steps == int64_t{1} << 36
                         ? "2^36"
                         : absl::StrCat(limits.max_cell_steps),
                     ")"));
  }
  return absl::OkStatus();
}

absl::Status ReadSeed(const SimulationRequest& request, engine::SimulationConfig* config) {
  if (request.has_seed()) config->seed = engine::Seed(request.seed());
  if (request.wide_seed().empty()) return absl::OkStatus();
  if (request.has_seed()) {
    return FieldError("wide_seed", "INVALID_VALUE", "wide_seed and seed exclude each other");
  }
  auto seed = engine::Seed::FromDecimal(request.wide_seed());
  if (!seed.ok()) {
    return FieldError("wide_seed", "INVALID_VALUE",
                      absl::StrCat("wide_seed must be decimal digits, at most ",
                                   engine::kMaxSeedDigits, " of them"));
  }
  config->seed = std::move(*seed);
  return absl::OkStatus();
}

absl::Status ReadBoundary(const SimulationRequest& request, engine::SimulationConfig* config) {
  switch (request.boundary()) {
    case mfn::v1::BOUNDARY_UNSPECIFIED:
    case mfn::v1::BOUNDARY_PERIODIC:
      return absl::OkStatus();
    case mfn::v1::BOUNDARY_NEUMANN:
      config->boundary = engine::Boundary::kNeumann;
      return absl::OkStatus();
    case mfn::v1::BOUNDARY_DIRICHLET:
      config->boundary = engine::Boundary::kDirichlet;
      return absl::OkStatus();
    default:
      return FieldError("boundary", "OUT_OF_RANGE",
                        absl::StrCat("boundary is ", request.boundary(), ", must be in [0, 3]"));
  }
}

absl::Status ReadPrecision(const SimulationRequest& request, engine::SimulationConfig* config) {
  switch (request.precision()) {
    case mfn::v1::PRECISION_UNSPECIFIED:
    case mfn::v1::PRECISION_EXACT:
      return absl::OkStatus();
    case mfn::v1::PRECISION_FAST:
      config->precision = engine::Precision::kFast;
      return absl::OkStatus();
    default:
      return FieldError("precision", "OUT_OF_RANGE",
                        absl::StrCat("precision is ", request.precision(), ", must be in [0, 2]"));
  }
}

absl::Status ReadInitial(const SimulationRequest& request, SimulationJob* job) {
  const int64_t n = job->config.grid_size;
  if (request.has_initial_field()) {
    absl::Status s = ReadGrid(request.initial_field(), "initial_field", n, &job->initial_field);
    if (!s.ok()) return s;
  }
  if (request.has_initial_activator()) {
    absl::Status s =
        ReadGrid(request.initial_activator(), "initial_activator", n, &job->initial_activator);
    if (!s.ok()) return s;
  }
  if (!request.has_initial_inhibitor()) return absl::OkStatus();
  return ReadGrid(request.initial_inhibitor(), "initial_inhibitor", n, &job->initial_inhibitor);
}

engine::FeatureConfig ReadFeatures(const mfn::v1::FeatureConfig& from) {
  engine::FeatureConfig to;
  if (from.has_min_box_size()) to.min_box_size = from.min_box_size();
  if (from.has_max_box_size()) to.max_box_size = from.max_box_size();
  if (from.has_num_scales()) to.num_scales = from.num_scales();
  if (from.has_threshold_low_mv()) to.threshold_low_mv = from.threshold_low_mv();
  if (from.has_threshold_med_mv()) to.threshold_med_mv = from.threshold_med_mv();
  if (from.has_threshold_high_mv()) to.threshold_high_mv = from.threshold_high_mv();
  if (from.has_stability_threshold_mv()) to.stability_threshold_mv = from.stability_threshold_mv();
  if (from.has_stability_window()) to.stability_window = from.stability_window();
  if (from.has_connectivity()) to.connectivity = from.connectivity();
  return to;
}

absl::Status CheckFeatures(const engine::FeatureConfig& config) {
  if (config.max_box_size && *config.max_box_size < 1) {
    return FieldError("feature_config.max_box_size", "OUT_OF_RANGE",
                      absl::StrCat("feature_config.max_box_size is ", *config.max_box_size,
                                   ", must be at least 1"));
  }
  const std::pair<const char*, double> numbers[] = {
      {"threshold_low_mv", config.threshold_low_mv},
      {"threshold_med_mv", config.threshold_med_mv},
      {"threshold_high_mv", config.threshold_high_mv},
      {"stability_threshold_mv", config.stability_threshold_mv}};
  for (const auto& [name, value] : numbers) {
    if (std::isfinite(value)) continue;
    const std::string field = absl::StrCat("feature_config.", name);
    return FieldError(field, "NOT_FINITE",
                      absl::StrCat(field, " is ", value, ", must be a finite number"));
  }
  auto valid = config.Validate();
  if (valid.ok()) return absl::OkStatus();
  engine::Error error = valid.error();
  error.field = "feature_config." + error.field;
  error.message = "feature_config." + error.message;
  return ToStatus(error);
}

// Fields that the compatibility mode does not know must be absent.
absl::Status CheckCompat(const SimulationRequest& request) {
  const std::pair<const char*, bool> present[] = {
      {"d_activator", request.has_d_activator()},
      {"d_inhibitor", request.has_d_inhibitor()},
      {"r_activator", request.has_r_activator()},
      {"r_inhibitor", request.has_r_inhibitor()},
      {"boundary", request.boundary() > mfn::v1::BOUNDARY_PERIODIC},
      {"precision", request.precision() > mfn::v1::PRECISION_EXACT},
      {"initial_field", request.has_initial_field()},
      {"initial_activator", request.has_initial_activator()},
      {"initial_inhibitor", request.has_initial_inhibitor()},
      {"resume_from", request.has_resume_from()},
      {"include_snapshot", request.include_snapshot()},
      {"kinetics", request.has_kinetics()},
      {"pattern_preset", !request.pattern_preset().empty()},
      {"time_step", request.has_time_step()},
      {"spacing", request.has_spacing()},
      {"feature_config", request.has_feature_config()}};
  for (const auto& [field, is_present] : present) {
    if (!is_present) continue;
    return FieldError(field, "INVALID_VALUE",
                      absl::StrCat(field, " must be absent in SIMULATION_MODE_REQUEST_COMPAT"));
  }
  return absl::OkStatus();
}

engine::RequestSimulationConfig CompatConfig(const engine::SimulationConfig& from) {
  engine::RequestSimulationConfig to;
  to.grid_size = from.grid_size;
  to.steps = from.steps;
  to.alpha = from.alpha;
  to.spike_probability = from.spike_probability;
  to.turing_enabled = from.turing_enabled;
  to.turing_threshold = from.turing_threshold;
  to.quantum_jitter = from.quantum_jitter;
  to.jitter_var = from.jitter_var;
  return to;
}

absl::Status CheckCompatValues(const engine::SimulationConfig& config) {
  if (config.steps < 1) {
    return FieldError("steps", "OUT_OF_RANGE",
                      absl::StrCat("steps is ", config.steps, ", must be at least 1"));
  }
  auto valid = engine::ValidateRequestSimulation(CompatConfig(config));
  return valid.ok() ? absl::OkStatus() : ToStatus(valid.error());
}

// What the request says besides its kinetics.
void ReadConfig(const SimulationRequest& request, engine::SimulationConfig* to) {
  engine::SimulationConfig& config = *to;
  if (request.has_grid_size()) config.grid_size = request.grid_size();
  if (request.has_steps()) config.steps = request.steps();
  if (request.has_alpha()) config.alpha = request.alpha();
  if (request.has_spike_probability()) config.spike_probability = request.spike_probability();
  if (request.has_turing_enabled()) config.turing_enabled = request.turing_enabled();
  if (request.has_turing_threshold()) config.turing_threshold = request.turing_threshold();
  if (request.has_quantum_jitter()) config.quantum_jitter = request.quantum_jitter();
  if (request.has_jitter_var()) config.jitter_var = request.jitter_var();
  if (request.has_d_activator()) config.d_activator = request.d_activator();
  if (request.has_d_inhibitor()) config.d_inhibitor = request.d_inhibitor();
  if (request.has_r_activator()) config.r_activator = request.r_activator();
  if (request.has_r_inhibitor()) config.r_inhibitor = request.r_inhibitor();
}

absl::StatusOr<engine::RunResult> RunCompat(const SimulationJob& job,
                                            const engine::RunOptions& options,
                                            mfn::v1::SimulationResult* result) {
  const auto begin = std::chrono::steady_clock::now();
  engine::RunResult run;
  run.grid_size = job.config.grid_size;
  run.seed = job.config.seed ? *job.config.seed : engine::RandomSeed();
  engine::Generator generator(run.seed);
  auto simulated =
      engine::RunRequestSimulation(CompatConfig(job.config), generator, options.cancel);
  if (!simulated.ok()) return ToStatus(simulated.error());
  auto reply = engine::MakeRequestReply(*simulated);
  if (!reply.ok()) return ToStatus(reply.error());
  auto features = engine::ExtractFeatures(simulated->field, 1, run.grid_size, job.features);
  if (!features.ok()) return ToStatus(features.error());
  run.features = *features;
  run.counters.steps_computed = job.config.steps;
  run.counters.growth_events = simulated->growth_events;
  const double nothing[] = {0.0};
  run.statistics = engine::StatisticsOf(simulated->field, nothing, nothing);
  run.field = std::move(simulated->field);
  run.elapsed = std::chrono::steady_clock::now() - begin;
  ToProto(job, run, result);
  result->mutable_statistics()->set_fractal_dimension(reply->fractal_dimension);
  return run;
}

void FeaturesToProto(const engine::Features& from, mfn::v1::Features* to) {
  to->set_d_box(from.d_box);
  to->set_d_r2(from.d_r2);
  to->set_v_min(from.v_min);
  to->set_v_max(from.v_max);
  to->set_v_mean(from.v_mean);
  to->set_v_std(from.v_std);
  to->set_v_skew(from.v_skew);
  to->set_v_kurt(from.v_kurt);
  to->set_dv_mean(from.dv_mean);
  to->set_dv_max(from.dv_max);
  to->set_t_stable(static_cast<double>(from.t_stable));
  to->set_e_trend(from.e_trend);
  to->set_f_active(from.f_active);
  to->set_n_clusters_low(static_cast<double>(from.n_clusters_low));
  to->set_n_clusters_med(static_cast<double>(from.n_clusters_med));
  to->set_n_clusters_high(static_cast<double>(from.n_clusters_high));
  to->set_max_cluster_size(static_cast<double>(from.max_cluster_size));
  to->set_cluster_size_std(from.cluster_size_std);
}

void ConfigToProto(const SimulationJob& job, mfn::v1::SimulationConfig* to) {
  const engine::SimulationConfig& from = job.config;
  to->set_grid_size(static_cast<int32_t>(from.grid_size));
  to->set_steps(static_cast<uint32_t>(from.steps));
  to->set_alpha(from.alpha);
  to->set_spike_probability(from.spike_probability);
  to->set_turing_enabled(from.turing_enabled);
  to->set_turing_threshold(from.turing_threshold);
  to->set_quantum_jitter(from.quantum_jitter);
  to->set_jitter_var(from.jitter_var);
  KineticsToProto(from, to);
  to->set_pattern_preset(job.pattern_preset);
  to->set_boundary(from.boundary == engine::Boundary::kNeumann     ? mfn::v1::BOUNDARY_NEUMANN
                   : from.boundary == engine::Boundary::kDirichlet ? mfn::v1::BOUNDARY_DIRICHLET
                                                                   : mfn::v1::BOUNDARY_PERIODIC);
  to->set_mode(job.compat ? mfn::v1::SIMULATION_MODE_REQUEST_COMPAT
                          : mfn::v1::SIMULATION_MODE_FIELD);
  to->set_precision(from.precision == engine::Precision::kFast ? mfn::v1::PRECISION_FAST
                                                               : mfn::v1::PRECISION_EXACT);
  if (!job.compat) return;
  to->clear_time_step();
  to->clear_spacing();
}

}  // namespace

void FeatureConfigToProto(const engine::FeatureConfig& from, mfn::v1::FeatureConfig* to) {
  to->set_min_box_size(static_cast<int32_t>(from.min_box_size));
  if (from.max_box_size) to->set_max_box_size(static_cast<int32_t>(*from.max_box_size));
  to->set_num_scales(static_cast<int32_t>(from.num_scales));
  to->set_threshold_low_mv(from.threshold_low_mv);
  to->set_threshold_med_mv(from.threshold_med_mv);
  to->set_threshold_high_mv(from.threshold_high_mv);
  to->set_stability_threshold_mv(from.stability_threshold_mv);
  to->set_stability_window(static_cast<int32_t>(from.stability_window));
  to->set_connectivity(static_cast<int32_t>(from.connectivity));
}

int64_t FurtherSteps(const SimulationJob& job) {
  return job.config.steps - (job.resume ? job.resume->counters.steps_computed : 0);
}

absl::string_view RevisionOf(const SimulationJob& job) {
  return job.config.precision == engine::Precision::kFast ? kFastEngineRevision : kEngineRevision;
}

absl::StatusOr<SimulationJob> FromProto(const SimulationRequest& request,
                                        const CodecLimits& limits) {
  if (request.has_resume_from()) return ResumeFromProto(request, limits);
  SimulationJob job;
  auto kinetics = ReadKinetics(request);
  if (!kinetics.ok()) return kinetics.status();
  job.config = *std::move(kinetics);
  job.pattern_preset = request.pattern_preset();
  ReadConfig(request, &job.config);
  job.compat = request.mode() == mfn::v1::SIMULATION_MODE_REQUEST_COMPAT;
  if (request.mode() < 0 || request.mode() > mfn::v1::SIMULATION_MODE_REQUEST_COMPAT) {
    return FieldError("mode", "OUT_OF_RANGE",
                      absl::StrCat("mode is ", request.mode(), ", must be in [0, 2]"));
  }
  absl::Status encoding = CheckEncoding(request.field_encoding(), "field_encoding");
  if (!encoding.ok()) return encoding;
  if (absl::Status s = ReadSeed(request, &job.config); !s.ok()) return s;
  if (absl::Status s = CheckSize(job.config, limits.engine); !s.ok()) return s;
  if (absl::Status s = CheckFinite(job.config, job.compat); !s.ok()) return s;
  if (job.compat) {
    if (absl::Status s = CheckCompat(request); !s.ok()) return s;
    if (absl::Status s = CheckCompatValues(job.config); !s.ok()) return s;
    return job;
  }
  if (absl::Status s = ReadBoundary(request, &job.config); !s.ok()) return s;
  if (absl::Status s = ReadPrecision(request, &job.config); !s.ok()) return s;
  // The engine's checks in its own order, but the narrower range at once: it names the bound that
  // counts.
  if (auto valid = engine::ValidateEngine(job.config); !valid.ok()) return ToStatus(valid.error());
  if (auto valid = engine::ValidateRun(job.config); !valid.ok()) return ToStatus(valid.error());
  job.features = ReadFeatures(request.feature_config());
  if (absl::Status s = CheckFeatures(job.features); !s.ok()) return s;
  if (absl::Status s = ReadInitial(request, &job); !s.ok()) return s;
  return job;
}

engine::RunOptions OptionsOf(const SimulationJob& job) {
  engine::RunOptions options;
  options.features = job.features;
  if (job.initial_field.empty() && job.initial_activator.empty() && job.initial_inhibitor.empty()) {
    return options;
  }
  engine::InitialState& initial = options.initial.emplace();
  initial.field = job.initial_field;
  initial.activator = job.initial_activator;
  initial.inhibitor = job.initial_inhibitor;
  if (!job.resume) return options;
  initial.generator = job.resume->generator;
  initial.counters = job.resume->counters;
  options.feature_state = &job.resume->features;
  return options;
}

absl::StatusOr<engine::RunResult> RunJob(const SimulationJob& job,
                                         const engine::RunOptions& options,
                                         mfn::v1::SimulationResult* result) {
  SimulationFigures::Run figures;
  const int64_t cell_steps = job.config.grid_size * job.config.grid_size * FurtherSteps(job);
  if (job.compat) {
    auto compat = RunCompat(job, options, result);
    if (compat.ok()) figures.Done(cell_steps);
    return compat;
  }
  engine::RunOptions shared = options;
  shared.cores = &CoresOfProcess();
  auto run = engine::RunSimulation(job.config, shared);
  if (!run.ok()) return ToStatus(run.error());
  figures.Done(cell_steps);
  ToProto(job, *run, result);
  if (options.snapshot) SnapshotToProto(job, *run, result);
  std::string warning = UniformityWarning(job.config);
  if (!warning.empty()) result->add_warnings(std::move(warning));
  return std::move(*run);
}

void ToProto(const SimulationJob& job, const engine::RunResult& run,
             mfn::v1::SimulationResult* result) {
  result->set_status(mfn::v1::SimulationResult::STATUS_OK);
  ConfigToProto(job, result->mutable_config());
  result->set_seed(run.seed.ToString());
  result->set_steps_computed(static_cast<uint32_t>(run.counters.steps_computed));
  result->set_growth_events(static_cast<uint32_t>(run.counters.growth_events));
  result->set_turing_activations(static_cast<uint64_t>(run.counters.turing_activations));
  result->set_clamping_events(static_cast<uint64_t>(run.counters.clamping_events));
  mfn::v1::SimulationStatistics* statistics = result->mutable_statistics();
  statistics->set_field_min_v(run.statistics.field_min_v);
  statistics->set_field_max_v(run.statistics.field_max_v);
  statistics->set_field_mean_v(run.statistics.field_mean_v);
  statistics->set_field_std_v(run.statistics.field_std_v);
  statistics->set_activator_mean(run.statistics.activator_mean);
  statistics->set_inhibitor_mean(run.statistics.inhibitor_mean);
  if (run.features) FeaturesToProto(*run.features, result->mutable_features());
  result->set_engine_revision(std::string(RevisionOf(job)));
  result->mutable_timing()->set_simulate_ms(
      std::chrono::duration<double, std::milli>(run.elapsed).count());
}

}  // namespace mfn::pipeline
