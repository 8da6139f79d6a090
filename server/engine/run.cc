// A run from configuration to result.

#include "server/engine/run.h"

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

// How many steps are left to run.
int64_t FurtherSteps(const SimulationConfig& config, const RunOptions& options) {
  return config.steps - (options.initial ? options.initial->counters.steps_computed : 0);
}

Expected<void> CheckFurther(const SimulationConfig& config, const RunOptions& options) {
  const int64_t further = FurtherSteps(config, options);
  if (further >= 1 && further <= config.steps) return {};
  return InvalidArgument("steps", "steps is " + std::to_string(config.steps) + ", of which " +
                                      std::to_string(config.steps - further) +
                                      " have been computed: nothing is left to run");
}

Expected<void> CheckHistory(const SimulationConfig& config, const RunOptions& options) {
  if (!options.history) return {};
  const int64_t frames = options.max_history_cells / (config.grid_size * config.grid_size);
  const int64_t further = FurtherSteps(config, options);
  if (further <= frames) return {};
  Error error =
      Exhausted("history", "a history of " + std::to_string(further) +
                               " frames is too large, at most " + std::to_string(frames) +
                               " are kept at grid_size " + std::to_string(config.grid_size));
  error.value = static_cast<double>(further);
  error.max = static_cast<double>(frames);
  return error;
}

Expected<void> CopyFeatures(const RunOptions& options, Simulation& simulation, RunResult& result) {
  if (!options.features) return {};
  auto features = simulation.features().Finish(simulation.field(), options.cancel);
  if (!features.ok()) return features.error();
  result.features = *features;
  if (options.snapshot) result.feature_state = simulation.features().State();
  return {};
}

// Keeps the history and calls the caller's observer; empty if there is nothing to do between steps.
StepObserver ObserverOf(const RunOptions& options, std::vector<double>* history) {
  if (!options.history) return options.observer;
  return [&options, history](const StepView& view) {
    history->insert(history->end(), view.field.begin(), view.field.end());
    return !options.observer || options.observer(view);
  };
}

void CopyState(const Simulation& simulation, const RunOptions& options, RunResult& result) {
  const auto copy = [](std::span<const double> from) {
    return std::vector<double>(from.begin(), from.end());
  };
  result.field = copy(simulation.field());
  if (options.snapshot) result.generator = simulation.generator();
  if (!options.chemistry && !options.snapshot) return;
  result.activator = copy(simulation.activator());
  result.inhibitor = copy(simulation.inhibitor());
}

Expected<void> StartFeatures(const SimulationConfig& config, const RunOptions& options,
                             FeatureAccumulator* features) {
  if (features == nullptr) return {};
  if (options.feature_state == nullptr || !options.initial) {
    return features->Reset(config.grid_size, *options.features);
  }
  return features->Restore(config.grid_size, *options.features, *options.feature_state,
                           options.initial->field);
}

Expected<RunResult> Execute(const SimulationConfig& config, const RunOptions& options,
                            Simulation& simulation) {
  const std::chrono::nanoseconds start = Now(options);
  RunResult result;
  FeatureAccumulator* features = options.features ? &simulation.features() : nullptr;
  if (auto ready = StartFeatures(config, options, features); !ready.ok()) return ready.error();
  const int64_t steps = FurtherSteps(config, options);
  if (options.history) {
    result.history.reserve(static_cast<size_t>(config.grid_size * config.grid_size * steps));
  }
  simulation.SetThreads(options.threads);
  simulation.SetCores(options.cores);
  const auto reset =
      options.initial ? simulation.Reset(config, *options.initial) : simulation.Reset(config);
  if (!reset.ok()) return reset.error();
  const StepObserver observer = ObserverOf(options, &result.history);
  if (auto run = simulation.Run(steps, observer, options.cancel, features); !run.ok()) {
    return run.error();
  }
  if (auto copied = CopyFeatures(options, simulation, result); !copied.ok()) return copied.error();
  result.grid_size = config.grid_size;
  result.seed = *simulation.config().seed;
  result.counters = simulation.counters();
  result.statistics = StatisticsOf(simulation.field(), simulation.activator(),
                                   simulation.inhibitor(), simulation.team());
  CopyState(simulation, options, result);
  result.elapsed = Now(options) - start;
  return result;
}

}  // namespace

FieldStatistics StatisticsOf(std::span<const double> field, std::span<const double> activator,
                             std::span<const double> inhibitor, Team* team) {
  FieldStatistics s;
  const auto potential = [&] {
    s.field_mean_v = Mean(field);
    s.field_std_v = Std(field, s.field_mean_v);
    const Range range = RangeOrNan(field, s.field_mean_v);
    s.field_min_v = range.min;
    s.field_max_v = range.max;
  };
  const auto chemistry = [&] {
    s.activator_mean = Mean(activator);
    s.inhibitor_mean = Mean(inhibitor);
  };
  if (team == nullptr) {
    potential();
    chemistry();
    return s;
  }
  team->Run([&](size_t member) {
    if (member == 0) potential();
    if (member == 1 || team->members() == 1) chemistry();
  });
  return s;
}

Expected<RunResult> RunSimulation(const SimulationConfig& config, const RunOptions& options) {
  if (auto valid = ValidateRun(config); !valid.ok()) return valid.error();
  if (options.features) {
    if (auto valid = options.features->Validate(); !valid.ok()) return valid.error();
  }
  if (auto further = CheckFurther(config, options); !further.ok()) return further.error();
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
