// The data set, the training loop and the example of the validation cycle.

#include "server/engine/math/validation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "server/engine/boxcount.h"
#include "server/engine/math/ifs.h"
#include "server/engine/math/nernst.h"
#include "server/engine/math/network.h"
#include "server/engine/math/seed_offset.h"
#include "server/engine/request_simulation.h"
#include "server/engine/rng.h"
#include "server/engine/sum.h"

namespace mfn::engine {
namespace {

constexpr double kActiveV = -0.060;
constexpr int kPotassiumValence = 1;
constexpr double kPotassiumOut = 0.005;  // mol/L
constexpr double kPotassiumIn = 0.140;

struct Sample {
  double dimension = 0.0;
  double mean_v = 0.0, std_v = 0.0, min_v = 0.0, max_v = 0.0;
  int64_t growth_events = 0;
  double lyapunov = 0.0;
};

Expected<void> CheckRange(const char* field, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return {};
  return InvalidArgument(field, static_cast<double>(value), static_cast<double>(min),
                         static_cast<double>(max));
}

// One simulation and one small fractal, from one stream.
Expected<Sample> DrawSample(const ValidationConfig& config, Generator& generator,
                            const CancelCheck& cancel) {
  RequestSimulationConfig simulation;
  simulation.grid_size = config.grid_size;
  simulation.steps = config.steps;
  simulation.turing_enabled = config.turing_enabled;
  simulation.quantum_jitter = config.quantum_jitter;
  const auto run = RunRequestSimulation(simulation, generator, cancel);
  if (!run.ok()) return run.error();
  const std::vector<double>& field = run->field;
  const std::vector<uint8_t> active = ActiveCells(field, kActiveV);
  const auto dimension = ModelBoxDimension({active, config.grid_size});
  if (!dimension.ok()) return dimension.error();
  IfsOptions fractal;
  fractal.num_points = 1000;
  fractal.keep_points = false;
  const auto ifs = RunIfs(generator, fractal);
  if (!ifs.ok()) return ifs.error();

  Sample sample;
  sample.dimension = *dimension;
  sample.mean_v = Mean(field);
  sample.std_v = Std(field);
  const auto [min, max] = std::minmax_element(field.begin(), field.end());
  sample.min_v = *min;
  sample.max_v = *max;
  sample.growth_events = run->growth_events;
  sample.lyapunov = ifs->lyapunov_exponent;
  return sample;
}

// Every operation in binary32, as written.
void AppendToDataset(const Sample& sample, ValidationResult& result) {
  const std::array<float, 4> x = {
      static_cast<float>(sample.dimension), static_cast<float>(sample.mean_v) * 100.0f,
      static_cast<float>(sample.std_v) * 100.0f, static_cast<float>(sample.max_v) * 100.0f};
  result.dataset_x.push_back(x);
  result.dataset_y.push_back((0.5f * x[0] + 0.2f * x[1]) - 0.1f * x[2]);
}

Expected<void> MakeDataset(const ValidationConfig& config, Generator& generator,
                           const CancelCheck& cancel, ValidationResult& result) {
  double min_v = std::numeric_limits<double>::infinity();
  double max_v = -min_v;
  std::vector<double> exponents;
  for (int64_t k = 0; k < kValidationSamples; ++k) {
    const Expected<Sample> sample = DrawSample(config, generator, cancel);
    if (!sample.ok()) return sample.error();
    AppendToDataset(*sample, result);
    exponents.push_back(sample->lyapunov);
    min_v = std::min(min_v, sample->min_v);
    max_v = std::max(max_v, sample->max_v);
  }
  result.pot_min_mv = min_v * 1000.0;
  result.pot_max_mv = max_v * 1000.0;
  result.lyapunov_mean = Mean(exponents);
  return {};
}

void Shuffle(std::vector<size_t>& order, Generator& generator) {
  for (size_t i = order.size() - 1; i >= 1; --i) {
    std::swap(order[i], order[generator.Integers(i + 1)]);
  }
}

// The loss of the batch order[begin, end) before the step on it.
Expected<double> TrainBatch(Network& network, const ValidationResult& data,
                            std::span<const size_t> batch) {
  std::vector<double> x;
  std::vector<double> y;
  for (const size_t row : batch) {
    x.insert(x.end(), data.dataset_x[row].begin(), data.dataset_x[row].end());
    y.push_back(static_cast<double>(data.dataset_y[row]));
  }
  return network.TrainStep({x, batch.size(), 1}, y);
}

Expected<void> Train(const ValidationConfig& config, Generator& generator,
                     ValidationResult& result) {
  Expected<Network> network = Network::Create({});
  if (!network.ok()) return network.error();
  network->Initialize(generator);
  std::vector<size_t> order(result.dataset_x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t batch_size = static_cast<size_t>(config.batch_size);
  bool first = true;
  for (int64_t epoch = 0; epoch < config.epochs; ++epoch) {
    Shuffle(order, generator);
    for (size_t begin = 0; begin < order.size(); begin += batch_size) {
      const size_t size = std::min(batch_size, order.size() - begin);
      const auto loss = TrainBatch(*network, result, std::span(order).subspan(begin, size));
      if (!loss.ok()) return loss.error();
      if (std::exchange(first, false)) result.loss_start = *loss;
      result.loss_final = *loss;
    }
  }
  result.loss_drop = result.loss_start - result.loss_final;
  return {};
}

void FillNernst(ValidationResult& result) {
  result.nernst_numeric_mv =
      NernstFormula(kPotassiumValence, kPotassiumOut, kPotassiumIn, kDefaultTemperatureK) * 1000.0;
  result.nernst_rtfz_mv = kGasConstant * kDefaultTemperatureK / kFaradayConstant * 1000.0;
  // What a computer-algebra system gives: one rounding at the end.
  const long double rtzf = static_cast<long double>(kGasConstant) * kDefaultTemperatureK /
                           (kPotassiumValence * static_cast<long double>(kFaradayConstant));
  const long double ratio = static_cast<long double>(kPotassiumOut) / kPotassiumIn;
  result.nernst_symbolic_mv = static_cast<double>(rtzf * std::log(ratio) * 1000.0L);
}

}  // namespace

Expected<void> ValidateValidationConfig(const ValidationConfig& config) {
  if (auto ok = CheckRange("epochs", config.epochs, 1, 100); !ok.ok()) return ok;
  if (auto ok = CheckRange("batch_size", config.batch_size, 1, 64); !ok.ok()) return ok;
  if (auto ok = CheckRange("grid_size", config.grid_size, 8, 256); !ok.ok()) return ok;
  return CheckRange("steps", config.steps, 1, 1000);
}

Expected<ValidationResult> RunValidation(const ValidationConfig& config,
                                         const CancelCheck& cancel) {
  if (auto ok = ValidateValidationConfig(config); !ok.ok()) return ok.error();
  ValidationResult result;
  Generator generator(config.seed);
  if (auto ok = MakeDataset(config, generator, cancel, result); !ok.ok()) return ok.error();
  if (auto ok = Train(config, generator, result); !ok.ok()) return ok.error();

  Generator example_generator(OffsetSeed(config.seed, 1));
  const Expected<Sample> example = DrawSample(config, example_generator, cancel);
  if (!example.ok()) return example.error();
  result.growth_events = static_cast<double>(example->growth_events);
  result.example_fractal_dim = example->dimension;
  result.lyapunov_exponent = example->lyapunov;
  FillNernst(result);
  return result;
}

}  // namespace mfn::engine
