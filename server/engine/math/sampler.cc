// Drawing samples and unrolling presets.

#include "server/engine/math/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "server/engine/math/seed_offset.h"
#include "server/engine/rng.h"

namespace mfn::engine {
namespace {

Expected<void> CheckOrder(const char* low_field, double low, double high) {
  if (std::isfinite(low) && std::isfinite(high) && low <= high) return {};
  return InvalidArgument(low_field, std::string(low_field) + " is " + FormatDouble(low) +
                                        " and its maximum " + FormatDouble(high) +
                                        ", both must be finite and in this order");
}

Expected<void> CheckGrids(const std::vector<int64_t>& sizes) {
  if (sizes.empty())
    return InvalidArgument("grid_sizes", "grid_sizes is empty, needs at least one");
  for (const int64_t size : sizes) {
    if (size >= kMinGridSize) continue;
    return InvalidArgument("grid_sizes", static_cast<double>(size),
                           static_cast<double>(kMinGridSize), std::nullopt);
  }
  return {};
}

}  // namespace

Expected<void> ValidateSamplerParams(const SamplerParams& params) {
  if (!(params.alpha_max < 0.25)) {
    return InvalidArgument("alpha_max", "alpha_max is " + FormatDouble(params.alpha_max) +
                                            ", must be below 0.25, the limit of stability");
  }
  if (auto ok = CheckGrids(params.grid_sizes); !ok.ok()) return ok;
  if (params.steps_min < 1) {
    return InvalidArgument("steps_min", static_cast<double>(params.steps_min), 1.0, std::nullopt);
  }
  if (params.steps_min > params.steps_max || params.steps_max == INT64_MAX) {
    return InvalidArgument("steps_max", static_cast<double>(params.steps_max),
                           static_cast<double>(params.steps_min), std::nullopt);
  }
  if (params.turing_values.empty()) {
    return InvalidArgument("turing_values", "turing_values is empty, needs at least one");
  }
  if (auto ok = CheckOrder("alpha_min", params.alpha_min, params.alpha_max); !ok.ok()) return ok;
  if (auto ok = CheckOrder("spike_min", params.spike_min, params.spike_max); !ok.ok()) return ok;
  return CheckOrder("threshold_min", params.threshold_min, params.threshold_max);
}

Expected<std::vector<SweepItem>> SampleConfigs(const SamplerParams& params, int64_t num_samples) {
  if (auto ok = ValidateSamplerParams(params); !ok.ok()) return ok.error();
  if (num_samples < 0 || num_samples > kMaxSweepItems) {
    return InvalidArgument("num_samples", static_cast<double>(num_samples), 0.0,
                           static_cast<double>(kMaxSweepItems));
  }
  Generator generator(params.base_seed);
  std::vector<SweepItem> items(static_cast<size_t>(num_samples));
  for (size_t k = 0; k < items.size(); ++k) {
    items[k].sim_id = static_cast<int64_t>(k);
    SimulationConfig& config = items[k].config;
    config.grid_size = params.grid_sizes[generator.Integers(params.grid_sizes.size())];
    config.steps = generator.Integers(params.steps_min, params.steps_max + 1);
    config.alpha = generator.Uniform(params.alpha_min, params.alpha_max);
    config.turing_enabled = params.turing_values[generator.Integers(params.turing_values.size())];
    config.spike_probability = generator.Uniform(params.spike_min, params.spike_max);
    config.turing_threshold = generator.Uniform(params.threshold_min, params.threshold_max);
    config.seed = OffsetSeed(params.base_seed, k);
  }
  return items;
}

Expected<ScenarioPreset> FindScenario(std::string_view name) {
  const ScenarioPreset presets[] = {{"small", 32, 50, 10, 2, {0.15}},
                                    {"medium", 64, 100, 100, 3, {0.10, 0.15, 0.20}},
                                    {"large", 128, 200, 500, 5, {0.08, 0.12, 0.16, 0.20}},
                                    {"benchmark", 32, 32, 5, 1, {0.15}}};
  const auto found = std::find_if(std::begin(presets), std::end(presets),
                                  [name](const ScenarioPreset& p) { return p.name == name; });
  if (found != std::end(presets)) return *found;
  return InvalidArgument("preset", "preset is \"" + std::string(name) +
                                       "\", must be small, medium, large or benchmark");
}

std::vector<SweepItem> ScenarioConfigs(const ScenarioPreset& preset, const Seed& base_seed) {
  const int64_t count = std::clamp<int64_t>(preset.num_samples, 0, kMaxSweepItems);
  const int64_t per_alpha = std::max<int64_t>(preset.seeds_per_config, 1);
  std::vector<SweepItem> items;
  if (preset.alphas.empty()) return items;
  items.reserve(static_cast<size_t>(count));
  for (int64_t k = 0; k < count; ++k) {
    SweepItem item;
    item.sim_id = k;
    item.config.grid_size = preset.grid_size;
    item.config.steps = preset.steps;
    item.config.alpha = preset.alphas[static_cast<size_t>(k / per_alpha) % preset.alphas.size()];
    item.config.seed = OffsetSeed(base_seed, static_cast<uint64_t>(k));
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace mfn::engine
