// The older simulator, on the same kernel.

#include "server/engine/request_simulation.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <utility>

#include "server/engine/boxcount.h"
#include "server/engine/kernel.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kActiveV = -0.060;

KernelParams ParamsOf(const RequestSimulationConfig& config) {
  KernelParams params;  // the rates are the defaults
  params.alpha = config.alpha;
  params.turing_enabled = config.turing_enabled;
  params.turing_threshold = config.turing_threshold;
  params.inhibitor_sees_new_activator = true;
  params.quantum_jitter = config.quantum_jitter;
  params.jitter_sd = std::sqrt(config.jitter_var);
  return params;
}

// The three fields and where the next ones are written.
class State {
 public:
  State(size_t n, bool chemistry) : n_(n), field_(n * n), next_field_(n * n) {
    if (!chemistry) return;
    for (auto* array : {&activator_, &inhibitor_, &next_activator_, &next_inhibitor_}) {
      array->resize(n * n);
    }
  }

  void Draw(Generator& generator) {
    generator.FillNormal(field_, kInitialMeanV, kInitialSdV);
    generator.FillUniform(activator_, 0.0, kInitialChemicalMax);
    generator.FillUniform(inhibitor_, 0.0, kInitialChemicalMax);
  }

  // Whether there was a growth event.
  bool Step(const KernelParams& params, double spike_probability, Generator& generator) {
    const bool spike = AddSpike(spike_probability, n_, field_.data(), generator);
    StepField(params,
              {n_, field_.data(), activator_.data(), inhibitor_.data(), next_field_.data(),
               next_activator_.data(), next_inhibitor_.data()},
              generator);
    field_.swap(next_field_);
    activator_.swap(next_activator_);
    inhibitor_.swap(next_inhibitor_);
    return spike;
  }

  std::vector<double> TakeField() { return std::move(field_); }

 private:
  size_t n_;
  std::vector<double> field_, activator_, inhibitor_;
  std::vector<double> next_field_, next_activator_, next_inhibitor_;
};

Expected<RequestSimulationResult> Simulate(const RequestSimulationConfig& config,
                                           Generator& generator, const CancelCheck& cancel) {
  State state(static_cast<size_t>(config.grid_size), config.turing_enabled);
  state.Draw(generator);
  const KernelParams params = ParamsOf(config);
  RequestSimulationResult result;
  result.grid_size = config.grid_size;
  for (int64_t step = 0; step < config.steps; ++step) {
    if (cancel && cancel()) {
      Error error;
      error.kind = ErrorKind::kCancelled;
      error.step = step;
      error.message = "cancelled after " + std::to_string(step) + " steps were computed";
      return error;
    }
    result.growth_events += state.Step(params, config.spike_probability, generator) ? 1 : 0;
  }
  result.field = state.TakeField();
  return result;
}

}  // namespace

Expected<void> ValidateRequestSimulation(const RequestSimulationConfig& c) {
  if (c.grid_size < 1 || c.grid_size > kMaxGridSize) {
    return OutOfRange("grid_size", static_cast<double>(c.grid_size), 1.0, kMaxGridSize);
  }
  if (c.steps < 0) {
    return InvalidArgument("steps", static_cast<double>(c.steps), 0.0, std::nullopt);
  }
  const std::pair<const char*, double> numbers[] = {{"alpha", c.alpha},
                                                    {"spike_probability", c.spike_probability},
                                                    {"turing_threshold", c.turing_threshold},
                                                    {"jitter_var", c.jitter_var}};
  for (const auto& [field, value] : numbers) {
    if (std::isfinite(value)) continue;
    Error error = InvalidArgument(
        field, std::string(field) + " is " + FormatDouble(value) + ", must be a finite number");
    error.value = value;
    return error;
  }
  if (c.jitter_var < 0.0) return InvalidArgument("jitter_var", c.jitter_var, 0.0, std::nullopt);
  return {};
}

Expected<void> CheckRequestLimits(const RequestSimulationConfig& c) {
  const auto outside = [](double value, double min, double max) {
    return !(min <= value && value <= max);
  };
  const double n = static_cast<double>(c.grid_size);
  const double steps = static_cast<double>(c.steps);
  if (outside(n, 8, 256)) return InvalidArgument("grid_size", n, 8, 256);
  if (outside(steps, 1, 1000)) return InvalidArgument("steps", steps, 1, 1000);
  if (outside(c.alpha, 0, 1)) return InvalidArgument("alpha", c.alpha, 0, 1);
  if (outside(c.spike_probability, 0, 1)) {
    return InvalidArgument("spike_probability", c.spike_probability, 0, 1);
  }
  return {};
}

Expected<RequestSimulationResult> RunRequestSimulation(const RequestSimulationConfig& config,
                                                       Generator& generator,
                                                       const CancelCheck& cancel) {
  if (auto valid = ValidateRequestSimulation(config); !valid.ok()) return valid.error();
  try {
    return Simulate(config, generator, cancel);
  } catch (const std::bad_alloc&) {
    Error error = InvalidArgument(
        "grid_size", "not enough memory for grid_size " + std::to_string(config.grid_size));
    error.kind = ErrorKind::kResourceExhausted;
    return error;
  }
}

// Statistics in volt first, then times 1000.
Expected<RequestReply> MakeRequestReply(const RequestSimulationResult& result) {
  const std::vector<double>& v = result.field;
  if (v.empty()) return InvalidArgument("field", "the field is empty");
  auto dimension = ModelBoxDimension({ActiveCells(v, kActiveV), result.grid_size});
  if (!dimension.ok()) return dimension.error();
  const auto [min, max] = std::minmax_element(v.begin(), v.end());
  RequestReply reply;
  reply.growth_events = result.growth_events;
  reply.pot_min_mv = *min * 1000.0;
  reply.pot_max_mv = *max * 1000.0;
  reply.pot_mean_mv = Mean(v) * 1000.0;
  reply.pot_std_mv = Std(v) * 1000.0;
  reply.fractal_dimension = *dimension;
  return reply;
}

}  // namespace mfn::engine
