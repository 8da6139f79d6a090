// A run from configuration to result.

#include "server/engine/run.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

Error Exhausted(const char* field, std::string message) {
  Error error;
  error.kind = ErrorKind::kResourceExhausted;
  error.field = field;
  error.message = std::move(message);
  return error;
}

std::chrono::nanoseconds Now(const RunOptions& options) {
  if (options.clock) return options.clock();
  return std::chrono::steady_clock::now().time_since_epoch();
}

Expected<void> CheckHistory(const SimulationConfig& config, const RunOptions& options) {
  if (!options.history) return {};
  const int64_t frames = options.max_history_cells / (config.grid_size * config.grid_size);
  if (config.steps <= frames) return {};
  Error error =
      Exhausted("history", "a history of " + std::to_string(config.steps) +
                               " frames is too large, at most " + std::to_string(frames) +
                               " are kept at grid_size " + std::to_string(config.grid_size));
  error.value = static_cast<double>(config.steps);
  error.max = static_cast<double>(frames);
  return error;
}

// Collects while stepping what the options ask for.
class Recorder {
 public:
  Recorder(const RunOptions& options, std::optional<FeatureAccumulator> features,
           std::vector<double>* history)
      : options_(options), features_(std::move(features)), history_(history) {}

  bool Observe(const StepView& view) {
    if (options_.history) {
      history_->insert(history_->end(), view.field.begin(), view.field.end());
    }
    if (features_) {
      if (auto added = features_->AddFrame(view.field); !added.ok()) {
        error_ = added.error();
        return false;
      }
    }
    return !options_.observer || options_.observer(view);
  }

  Expected<void> Finish(RunResult& result) const {
    if (error_) return *error_;
    if (!features_) return {};
    auto features = features_->Finish();
    if (!features.ok()) return features.error();
    result.features = *features;
    return {};
  }

 private:
  const RunOptions& options_;
  std::optional<FeatureAccumulator> features_;
  std::vector<double>* history_;
  std::optional<Error> error_;
};

Expected<Recorder> MakeRecorder(const SimulationConfig& config, const RunOptions& options,
                                std::vector<double>* history) {
  std::optional<FeatureAccumulator> features;
  if (options.features) {
    auto accumulator = FeatureAccumulator::Create(config.grid_size, *options.features);
    if (!accumulator.ok()) return accumulator.error();
    features = std::move(*accumulator);
  }
  if (options.history) {
    history->reserve(static_cast<size_t>(config.grid_size * config.grid_size * config.steps));
  }
  return Recorder(options, std::move(features), history);
}

void CopyState(const Simulation& simulation, const RunOptions& options, RunResult& result) {
  const auto copy = [](std::span<const double> from) {
    return std::vector<double>(from.begin(), from.end());
  };
  result.field = copy(simulation.field());
  if (!options.chemistry) return;
  result.activator = copy(simulation.activator());
  result.inhibitor = copy(simulation.inhibitor());
}

Expected<RunResult> Execute(const SimulationConfig& config, const RunOptions& options,
                            Simulation& simulation) {
  const std::chrono::nanoseconds start = Now(options);
  RunResult result;
  auto recorder = MakeRecorder(config, options, &result.history);
  if (!recorder.ok()) return recorder.error();
  const auto reset =
      options.initial ? simulation.Reset(config, *options.initial) : simulation.Reset(config);
  if (!reset.ok()) return reset.error();
  const auto observe = [&recorder](const StepView& view) { return recorder->Observe(view); };
  if (auto run = simulation.Run(config.steps, observe, options.cancel); !run.ok()) {
    return run.error();
  }
  if (auto finished = recorder->Finish(result); !finished.ok()) return finished.error();
  result.grid_size = config.grid_size;
  result.seed = *simulation.config().seed;
  result.counters = simulation.counters();
  result.statistics =
      StatisticsOf(simulation.field(), simulation.activator(), simulation.inhibitor());
  CopyState(simulation, options, result);
  result.elapsed = Now(options) - start;
  return result;
}

}  // namespace

FieldStatistics StatisticsOf(std::span<const double> field, std::span<const double> activator,
                             std::span<const double> inhibitor) {
  const auto [min, max] = std::minmax_element(field.begin(), field.end());
  FieldStatistics s;
  s.field_min_v = *min;
  s.field_max_v = *max;
  s.field_mean_v = Mean(field);
  s.field_std_v = Std(field);
  s.activator_mean = Mean(activator);
  s.inhibitor_mean = Mean(inhibitor);
  return s;
}

Expected<RunResult> RunSimulation(const SimulationConfig& config, const RunOptions& options) {
  if (auto valid = ValidateRun(config); !valid.ok()) return valid.error();
  if (options.features) {
    if (auto valid = options.features->Validate(); !valid.ok()) return valid.error();
  }
  if (auto fits = CheckHistory(config, options); !fits.ok()) return fits.error();
  try {
    if (options.arena != nullptr) return Execute(config, options, *options.arena);
    Simulation simulation;
    return Execute(config, options, simulation);
  } catch (const std::exception&) {  // bad_alloc, or length_error of an absurd history limit
    return Exhausted("", "not enough memory for grid_size " + std::to_string(config.grid_size) +
                             " and " + std::to_string(config.steps) + " steps");
  }
}

}  // namespace mfn::engine
