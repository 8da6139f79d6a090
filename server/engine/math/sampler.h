// Series of simulation configurations for data sets: random samples and the fixed scenario presets
// (numeric model, section 6.11). sweep.h runs them.

#ifndef MFN_SERVER_ENGINE_MATH_SAMPLER_H_
#define MFN_SERVER_ENGINE_MATH_SAMPLER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "server/engine/config.h"
#include "server/engine/error.h"
#include "server/engine/seed.h"

namespace mfn::engine {

// At most this many configurations in one series: about 30 MB.
inline constexpr int64_t kMaxSweepItems = 100'000;

struct SweepItem {
  int64_t sim_id = 0;  // position in the series, from 0
  SimulationConfig config;
};

// Ranges are [min, max), of steps [min, max].
struct SamplerParams {
  std::vector<int64_t> grid_sizes = {32, 64};  // every one >= 4, at least one
  int64_t steps_min = 50;                      // >= 1
  int64_t steps_max = 200;
  double alpha_min = 0.10;
  double alpha_max = 0.20;                          // < 0.25
  std::vector<bool> turing_values = {true, false};  // at least one
  double spike_min = 0.15;
  double spike_max = 0.35;
  double threshold_min = 0.65;
  double threshold_max = 0.85;
  Seed base_seed{42};
};

// kInvalidArgument on the first field that breaks its rule, a range that is reversed or not finite
// included. What is legal here may still fail as a simulation.
Expected<void> ValidateSamplerParams(const SamplerParams& params);

// num_samples in [0, kMaxSweepItems]. All from one generator(base_seed); sample k simulates with
// seed base_seed + k. Exact.
Expected<std::vector<SweepItem>> SampleConfigs(const SamplerParams& params, int64_t num_samples);

struct ScenarioPreset {
  std::string_view name;
  int64_t grid_size;
  int64_t steps;
  int64_t num_samples;
  int64_t seeds_per_config;
  std::vector<double> alphas;
};

// "small", "medium", "large" or "benchmark"; kInvalidArgument on "preset" for another name.
Expected<ScenarioPreset> FindScenario(std::string_view name);

// The preset's configurations: for each alpha seeds_per_config runs, over and over until there are
// num_samples; run k has seed base_seed + k. Everything else is a simulation's default.
std::vector<SweepItem> ScenarioConfigs(const ScenarioPreset& preset, const Seed& base_seed);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_SAMPLER_H_
