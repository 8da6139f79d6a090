// The older simulator, on the same kernel.

#include "server/engine/request_simulation.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <utility>

#include "server/engine/boxcount.h"
#include "server/engine/kernel.h"
#include "server/engine/stepper.h"
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

Expected<RequestSimulationResult> Simulate(const RequestSimulationConfig& config,
                                           Generator& generator, const CancelCheck& cancel) {
  const size_t n = static_cast<size_t>(config.grid_size);
  Stepper<double> grid;
  grid.Resize(n);
  generator.FillNormal(grid.field(), kInitialMeanV, kInitialSdV);
  if (config.turing_enabled) {
    generator.FillUniform(grid.activator(), 0.0, kInitialChemicalMax);
    generator.FillUniform(grid.inhibitor(), 0.0, kInitialChemicalMax);
  }
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
    const std::optional<Spike> spike = DrawSpike(config.spike_probability, n, generator);
    result.growth_events += spike ? 1 : 0;
    grid.Step(params, spike, generator, nullptr);
  }
  result.field.assign(grid.field().begin(), grid.field().end());
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
