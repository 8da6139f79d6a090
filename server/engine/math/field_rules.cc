// The single rules and their composition.

#include "server/engine/math/field_rules.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mfn::engine {
namespace {

constexpr double kMaxDiffusion = 0.25;

Error Unstable(const char* field, double value) {
  Error error;
  error.kind = ErrorKind::kStability;
  error.field = field;
  error.value = value;
  error.max = kMaxDiffusion;
  error.message = std::string(field) + " is " + FormatDouble(value) +
                  ", must be below 0.25 for the explicit scheme to be stable";
  return error;
}

Expected<void> CheckDiffusion(const char* field, double value) {
  if (value >= kMaxDiffusion) return Unstable(field, value);
  if (value >= 0.0) return {};
  return OutOfRange(field, value, 0.0, std::nullopt);
}

Expected<void> CheckRate(const char* field, double value) {
  if (value >= 0.0) return {};
  return OutOfRange(field, value, 0.0, std::nullopt);
}

double Unit(double value) { return std::clamp(value, 0.0, 1.0); }

}  // namespace

Expected<std::vector<double>> DiffusionUpdate(const FieldView& field, double diffusion,
                                              Boundary boundary) {
  if (diffusion >= kMaxDiffusion) return Unstable("diffusion", diffusion);
  if (std::isnan(diffusion)) return InvalidArgument("diffusion", "diffusion is NaN");
  Expected<std::vector<double>> result = Laplacian(field, boundary);
  if (!result.ok()) return result;
  for (size_t k = 0; k < result->size(); ++k) {
    (*result)[k] = field.values[k] + (diffusion * (*result)[k]);
  }
  return result;
}

Expected<void> ValidateReaction(const ReactionParams& params) {
  if (auto ok = CheckDiffusion("d_activator", params.d_activator); !ok.ok()) return ok;
  if (auto ok = CheckDiffusion("d_inhibitor", params.d_inhibitor); !ok.ok()) return ok;
  if (auto ok = CheckRate("r_activator", params.r_activator); !ok.ok()) return ok;
  if (auto ok = CheckRate("r_inhibitor", params.r_inhibitor); !ok.ok()) return ok;
  if (params.turing_threshold >= 0.0 && params.turing_threshold <= 1.0) return {};
  return OutOfRange("turing_threshold", params.turing_threshold, 0.0, 1.0);
}

Expected<Chemistry> ReactionUpdate(const ReactionParams& params, const FieldView& activator,
                                   const FieldView& inhibitor) {
  if (auto ok = ValidateReaction(params); !ok.ok()) return ok.error();
  Expected<std::vector<double>> lap_a = Laplacian(activator, params.boundary);
  if (!lap_a.ok()) return lap_a.error();
  if (inhibitor.rows != activator.rows || inhibitor.columns != activator.columns) {
    return InvalidArgument("inhibitor", "inhibitor and activator must have the same shape");
  }
  Expected<std::vector<double>> lap_i = Laplacian(inhibitor, params.boundary);
  if (!lap_i.ok()) return lap_i.error();
  Chemistry next{std::move(lap_a).value(), std::move(lap_i).value()};
  for (size_t k = 0; k < next.activator.size(); ++k) {
    const double a = activator.values[k];
    const double i = inhibitor.values[k];
    next.activator[k] = Unit(a + ((params.d_activator * next.activator[k]) +
                                  (params.r_activator * ((a * (1.0 - a)) - i))));
    next.inhibitor[k] =
        Unit(i + ((params.d_inhibitor * next.inhibitor[k]) + (params.r_inhibitor * (a - i))));
  }
  return next;
}

Expected<int64_t> ApplyTuring(std::span<double> field, std::span<const double> activator,
                              double threshold, double increment) {
  if (field.size() != activator.size()) {
    return InvalidArgument("activator", "activator has " + std::to_string(activator.size()) +
                                            " values, the field has " +
                                            std::to_string(field.size()));
  }
  int64_t count = 0;
  for (size_t k = 0; k < field.size(); ++k) {
    if (!(activator[k] > threshold)) continue;
    field[k] += increment;
    ++count;
  }
  return count;
}

bool GrowthEvent(std::span<double> field, size_t rows, size_t columns, double probability,
                 Generator& generator) {
  if (!(generator.Random() < probability)) return false;
  const size_t i = generator.Integers(rows);
  const size_t j = generator.Integers(columns);
  field[i * columns + j] += generator.Normal(kSpikeMeanV, kSpikeSdV);
  return true;
}

void AddJitter(std::span<double> field, double variance, Generator& generator) {
  const double sd = std::sqrt(variance);
  for (double& value : field) value += generator.Normal(0.0, sd);
}

int64_t ClampField(std::span<double> field, double min, double max) {
  int64_t outside = 0;
  for (double& value : field) {
    outside += value < min || value > max;
    if (!std::isnan(value)) value = std::min(std::max(value, min), max);
  }
  return outside;
}

Expected<FieldStepCounts> StepFieldState(const FieldStepParams& params, FieldState& state,
                                         Generator& generator) {
  if (!(params.spike_probability >= 0.0 && params.spike_probability <= 1.0)) {
    return OutOfRange("spike_probability", params.spike_probability, 0.0, 1.0);
  }
  if (!(params.jitter_var >= 0.0)) {
    return OutOfRange("jitter_var", params.jitter_var, 0.0, std::nullopt);
  }
  const auto view = [&state](const std::vector<double>& values) {
    return FieldView{values, state.rows, state.columns};
  };
  if (auto ok = CheckField(view(state.field)); !ok.ok()) return ok.error();

  FieldStepCounts counts;
  counts.growth_events =
      GrowthEvent(state.field, state.rows, state.columns, params.spike_probability, generator);
  Expected<std::vector<double>> diffused =
      DiffusionUpdate(view(state.field), params.alpha, params.reaction.boundary);
  if (!diffused.ok()) return diffused.error();
  state.field = std::move(diffused).value();
  if (params.turing_enabled) {
    Expected<Chemistry> next =
        ReactionUpdate(params.reaction, view(state.activator), view(state.inhibitor));
    if (!next.ok()) return next.error();
    state.activator = std::move(next->activator);
    state.inhibitor = std::move(next->inhibitor);
    const auto active = ApplyTuring(state.field, state.activator, params.reaction.turing_threshold);
    if (!active.ok()) return active.error();
    counts.turing_activations = *active;
  }
  if (params.quantum_jitter) AddJitter(state.field, params.jitter_var, generator);
  counts.clamping_events = ClampField(state.field);
  return counts;
}

}  // namespace mfn::engine
