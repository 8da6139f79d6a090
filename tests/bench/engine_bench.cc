// Cell-steps per second of the engine beside the limits of the machine, all from one run:
//
//   build/release/bench/engine_bench [--benchmark_filter=...]
//
// Rows: a run of 64 steps from a drawn state; `features`: with the 18 features; `jitter`: with
// noise in every cell; `threads`: together on one grid. BM_Steps: the steps alone, the first 512
// from what is drawn over and over, and grids beyond what a request may ask for. BM_RunFast:
// Precision::kFast. BM_RunLent: with the 18 features and all cores idle but its own, in turn with a
// run that can borrow none; `times_alone` is how many times as fast it is, the median of the
// rounds. BM_Kinetics: the steps alone of the patterns that kinetics form, from what is drawn and
// once the pattern is there, in turn with those of the reference's; `times_mfn` likewise.
// BM_Features: 64 steps whose frames the features take in, in turn with the same steps alone;
// README.md says what is counted. Each row ends with its share of the bound that applies:
//
//   compute   33 vector operations for each cell and step of the reference's kinetics (README.md
//             has the others), at the rate of additions and multiplications measured without
//             contraction (times the threads)
//   memory    48 bytes for each cell and step at the rate of a triad over as many bytes, where the
//             engine takes single steps (features, jitter) and the grid leaves the cache
//   draws     with jitter: the compute bound's time plus that of a normal
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/engine/cores.h"
#include "server/engine/presets.h"
#include "server/engine/run.h"
#include "server/engine/stepper.h"
#include "tests/bench/limits.h"

namespace {

using mfn::engine::Generator;
using mfn::engine::KernelParams;
using mfn::engine::Precision;
using mfn::engine::RunOptions;
using mfn::engine::Seed;
using mfn::engine::Simulation;
using mfn::engine::SimulationConfig;

constexpr double kOperationsPerCell = 33.0;
constexpr double kBytesPerCell = 48.0;
constexpr int64_t kSteps = 64;
constexpr size_t kStepsFromStart = 8 * kSteps;  // of BM_Steps, before it starts over

int64_t Processors() { return std::max(1u, std::thread::hardware_concurrency()); }

double Compute() {
  static const double rate = mfn::bench::PeakOperations() / kOperationsPerCell;
  return rate;
}

double Memory(int64_t n) {
  static std::map<int64_t, double> rates;
  auto [at, added] = rates.try_emplace(n, 0.0);
  if (added) at->second = mfn::bench::TriadBytes(static_cast<size_t>(48 * n * n)) / kBytesPerCell;
  return at->second;
}

double NormalsPerSecond() {
  static const double rate = [] {
    std::vector<double> values(1 << 16);
    Generator generator(1);
    double best = 0.0;
    for (int k = 0; k < 30; ++k) {
      const auto start = std::chrono::steady_clock::now();
      generator.FillNormal(values, 0.0, 1.0);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      best = std::max(best, static_cast<double>(values.size()) / taken.count());
    }
    return best;
  }();
  return rate;
}

// The label a row ends with; no bound if that is 0.
void Conclude(benchmark::State& state, int64_t n, int64_t cell_steps, double bound,
              const char* name) {
  const double total = static_cast<double>(cell_steps) * static_cast<double>(state.iterations());
  state.counters["cell_steps"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
  state.counters["triad_GB/s"] = Memory(n) * kBytesPerCell * 1e-9;
  if (bound == 0.0) return state.SetLabel("no bound");
  state.counters["of_bound_%"] =
      benchmark::Counter(100.0 * total / bound, benchmark::Counter::kIsRate);
  char label[64];
  std::snprintf(label, sizeof label, "%s bound %.2f G/s", name, bound * 1e-9);
  state.SetLabel(label);
}

void RunWith(benchmark::State& state, Precision precision) {
  SimulationConfig config;
  config.precision = precision;
  config.grid_size = state.range(0);
  config.steps = kSteps;
  config.quantum_jitter = state.range(2) != 0;
  Simulation arena;
  RunOptions options;
  if (state.range(1) != 0) options.features.emplace();
  options.arena = &arena;
  options.threads = static_cast<size_t>(state.range(3));
  uint64_t seed = 0;
  for (auto _ : state) {
    config.seed = Seed(seed++);
    auto run = mfn::engine::RunSimulation(config, options);
    if (!run.ok()) return state.SkipWithError(run.error().message.c_str());
    benchmark::DoNotOptimize(run->field.data());
  }
  const int64_t n = state.range(0);
  // Twice as many floats fit into a vector and through the memory.
  const double doubles = precision == Precision::kFast ? 2.0 : 1.0;
  double bound = doubles * Compute() * static_cast<double>(state.range(3));
  const char* name = "compute";
  const bool single_steps = options.features || config.quantum_jitter;
  if (single_steps && doubles * Memory(n) < bound) {
    bound = doubles * Memory(n);
    name = "memory";
  }
  if (config.quantum_jitter) {
    bound = 1.0 / (1.0 / bound + 1.0 / NormalsPerSecond());
    name = "draws";
  }
  Conclude(state, n, n * n * kSteps, bound, name);
}

void BM_Run(benchmark::State& state) { RunWith(state, Precision::kExact); }
void BM_RunFast(benchmark::State& state) { RunWith(state, Precision::kFast); }

// A spike before every fourth step, as requests have by default, here and there. After many
// thousand of them the field of a small grid would lie at its clamp.
std::optional<mfn::engine::Spike> SpikeBefore(size_t step, size_t n) {
  if (step % 4 != 0) return std::nullopt;
  return mfn::engine::Spike{step * 37 % n, step * 101 % n, mfn::engine::kSpikeMeanV};
}

void BM_Steps(benchmark::State& state) {
  const size_t n = static_cast<size_t>(state.range(0));
  mfn::engine::Stepper<double> grid;
  mfn::engine::Team team(static_cast<size_t>(state.range(1)));
  grid.Resize(n, team.members());
  Generator generator(1);
  const KernelParams params;
  const auto start_over = [&] {
    grid.ArrangeByColumns(params, &team);
    generator = Generator(1);
    generator.FillNormal(grid.field(), mfn::engine::kInitialMeanV, mfn::engine::kInitialSdV);
    generator.FillUniform(grid.activator(), 0.0, mfn::engine::kInitialChemicalMax);
    generator.FillUniform(grid.inhibitor(), 0.0, mfn::engine::kInitialChemicalMax);
    grid.Arrange(params, kSteps, false, &team);
  };
  start_over();
  const size_t at_once = grid.StepsAtOnce(params, team.members());
  size_t step = 0;
  for (auto _ : state) {
    if (step == kStepsFromStart) {
      state.PauseTiming();
      start_over();
      step = 0;
      state.ResumeTiming();
    }
    for (size_t left = kSteps; left > 0;) {
      const size_t take = std::min(at_once, left);
      mfn::engine::Spikes spikes;
      for (size_t k = 0; k < take; ++k) spikes[k] = SpikeBefore(step++, n);
      if (take > 1) {
        grid.StepMany(params, take, spikes, team);
      } else {
        grid.Step(params, spikes[0], generator, nullptr);
      }
      left -= take;
    }
  }
  Conclude(state, state.range(0), static_cast<int64_t>(n * n * kSteps),
           Compute() * static_cast<double>(team.members()), "compute");
}

double Now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Both return how long they took. The row's time is that of `work`; the counter is how many times
// as long the yardstick took just before, the median of the rounds.
template <typename Yardstick, typename Work>
void InTurn(benchmark::State& state, const char* counter, const Yardstick& yardstick,
            const Work& work) {
  std::vector<double> ratios;
  for (auto _ : state) {
    const double first = yardstick();
    const double second = work();
    state.SetIterationTime(second);
    ratios.push_back(first / second);
  }
  state.counters[counter] = Median(std::move(ratios));
}

void BM_RunLent(benchmark::State& state) {
  const int64_t n = state.range(0);
  SimulationConfig config;
  config.grid_size = n;
  config.steps = kSteps;
  config.precision = state.range(1) != 0 ? Precision::kFast : Precision::kExact;
  config.seed = Seed(uint64_t{1});
  Simulation arena;
  RunOptions options;
  options.features.emplace();
  options.arena = &arena;
  const auto run_with = [&](mfn::engine::Cores* cores) {
    options.cores = cores;
    const double start = Now(CLOCK_MONOTONIC);
    const auto run = mfn::engine::RunSimulation(config, options);
    if (!run.ok()) state.SkipWithError(run.error().message.c_str());
    return Now(CLOCK_MONOTONIC) - start;
  };
  mfn::engine::Cores one(1), all(static_cast<size_t>(Processors()));
  InTurn(
      state, "times_alone", [&] { return run_with(&one); }, [&] { return run_with(&all); });
  const double doubles = config.precision == Precision::kFast ? 2.0 : 1.0;
  Conclude(state, n, n * n * kSteps, doubles * Compute() * static_cast<double>(Processors()),
           "compute");
}

// A state from which steps are timed again and again.
class Start {
 public:
  Start(const SimulationConfig& config, int64_t steps) : config_(config) {
    if (!simulation_.Reset(config).ok() || !simulation_.Run(steps).ok()) return;
    const auto copy = [](std::span<const double> values) {
      return std::vector<double>(values.begin(), values.end());
    };
    field_ = copy(simulation_.field());
    activator_ = copy(simulation_.activator());
    inhibitor_ = copy(simulation_.inhibitor());
    generator_ = simulation_.generator();
  }

  // Of this thread's processor time; 0 if it failed. `features`, unless null, take in the frames.
  double SecondsOf(int64_t steps, mfn::engine::FeatureAccumulator* features = nullptr) {
    const mfn::engine::InitialState initial = {field_, activator_, inhibitor_, generator_};
    if (field_.empty() || !simulation_.Reset(config_, initial).ok()) return 0.0;
    const double start = Now(CLOCK_THREAD_CPUTIME_ID);
    if (!simulation_.Run(steps, {}, {}, features).ok()) return 0.0;
    return Now(CLOCK_THREAD_CPUTIME_ID) - start;
  }

  // Of the features of the state it has come to.
  double SecondsToFinish(mfn::engine::FeatureAccumulator* features) const {
    const double start = Now(CLOCK_THREAD_CPUTIME_ID);
    const auto all = features->Finish(simulation_.field());
    return all.ok() ? Now(CLOCK_THREAD_CPUTIME_ID) - start : 0.0;
  }

 private:
  const SimulationConfig config_;
  Simulation simulation_;
  std::vector<double> field_, activator_, inhibitor_;
  std::optional<Generator> generator_;
};

// `operations` of a cell and step; 0 where they say nothing.
void BM_Kinetics(benchmark::State& state, const char* preset, double operations) {
  const int64_t n = state.range(0);
  SimulationConfig config = mfn::engine::FindPreset(preset)->config;
  SimulationConfig reference;
  reference.grid_size = config.grid_size = n;
  reference.seed = config.seed = Seed(uint64_t{1});
  // Benchmarks are called several times, and patterns take their time.
  static std::map<std::string, Start> starts;
  Start& mfn = starts.try_emplace(std::to_string(n), reference, 0).first->second;
  const int64_t steps = state.range(1) != 0 ? config.steps : 0;
  const std::string key = preset + std::to_string(n) + " " + std::to_string(steps);
  Start& own = starts.try_emplace(key, config, steps).first->second;
  if (own.SecondsOf(1) == 0.0) return state.SkipWithError("the simulation failed");
  InTurn(
      state, "times_mfn", [&] { return mfn.SecondsOf(kSteps); },
      [&] { return own.SecondsOf(kSteps); });
  const double bound = operations > 0.0 ? Compute() * kOperationsPerCell / operations : 0.0;
  Conclude(state, n, n * n * kSteps, bound, "compute");
}

void BM_Features(benchmark::State& state) {
  const int64_t n = state.range(0);
  SimulationConfig config;
  config.grid_size = n;
  config.precision = state.range(1) != 0 ? Precision::kFast : Precision::kExact;
  config.seed = Seed(uint64_t{1});
  Start start(config, 0);
  mfn::engine::FeatureAccumulator features;
  std::vector<double> temporal, static_ones;
  for (auto _ : state) {
    const double alone = start.SecondsOf(kSteps);
    const bool ready = features.Reset(n, {}).ok();
    const double with = start.SecondsOf(kSteps, &features);
    const double finish = start.SecondsToFinish(&features);
    state.SetIterationTime(with);
    if (!ready || alone == 0.0 || with == 0.0 || finish == 0.0) {
      return state.SkipWithError("the simulation failed");
    }
    temporal.push_back(100.0 * (with - alone) / alone);
    static_ones.push_back(100.0 * finish / alone);
  }
  state.counters["temporal_%"] = Median(std::move(temporal));
  state.counters["static_%"] = Median(std::move(static_ones));
  const double doubles = config.precision == Precision::kFast ? 2.0 : 1.0;
  Conclude(state, n, n * n * kSteps, doubles * Compute(), "compute");
}

void BM_Normals(benchmark::State& state) {
  std::vector<double> values(1 << 16);
  Generator generator(1);
  for (auto _ : state) generator.FillNormal(values, 0.0, 1.0);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(values.size()));
}

// One thread is measured in its processor time: others on the machine make it no longer.
void AddRuns(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "features", "jitter", "threads"});
  for (int64_t n : {64, 128, 256, 512, 1024}) {
    for (int64_t features : {0, 1}) {
      for (int64_t jitter : {0, 1}) bench->Args({n, features, jitter, 1});
    }
  }
}

BENCHMARK(BM_Run)->Apply(AddRuns)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_RunFast)
    ->ArgNames({"n", "features", "jitter", "threads"})
    ->ArgsProduct({{64, 128, 256, 512, 1024}, {0, 1}, {0}, {1}})
    ->Args({256, 0, 1, 1})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Run)
    ->Name("BM_RunTogether")
    ->ArgNames({"n", "features", "jitter", "threads"})
    ->ArgsProduct({{256, 512, 1024}, {0}, {0}, {Processors()}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
// As many simulations as threads, each its own.
BENCHMARK(BM_Run)
    ->Name("BM_RunBeside")
    ->ArgNames({"n", "features", "jitter", "threads"})
    ->Args({64, 1, 0, 1})
    ->ThreadRange(1, static_cast<int>(Processors()))
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Steps)
    ->ArgNames({"n", "threads"})
    ->ArgsProduct({{64, 128, 256, 512, 1024, 4096}, {1}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Steps)
    ->Name("BM_StepsTogether")
    ->ArgNames({"n", "threads"})
    ->ArgsProduct({{256, 512, 1024, 4096}, {Processors()}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_RunLent)
    ->ArgNames({"n", "fast"})
    ->ArgsProduct({{256, 512, 1024}, {0}})
    ->ArgsProduct({{512, 1024}, {1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
void AddStarts(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "formed"})->ArgsProduct({{256}, {0, 1}})->UseManualTime();
  bench->Unit(benchmark::kMillisecond);
}
BENCHMARK_CAPTURE(BM_Kinetics, mfn_spots, "mfn_spots", kOperationsPerCell)->Apply(AddStarts);
BENCHMARK_CAPTURE(BM_Kinetics, gray_scott, "gray_scott_coral", 35.0)->Apply(AddStarts);
BENCHMARK_CAPTURE(BM_Kinetics, schnakenberg, "schnakenberg_spots", 33.0)->Apply(AddStarts);
BENCHMARK_CAPTURE(BM_Kinetics, gierer_meinhardt, "gierer_meinhardt_spots", 0.0)->Apply(AddStarts);
BENCHMARK_CAPTURE(BM_Kinetics, fitzhugh_nagumo, "fitzhugh_nagumo_stripes", 35.0)->Apply(AddStarts);
BENCHMARK_CAPTURE(BM_Kinetics, brusselator, "brusselator_stripes", 35.0)->Apply(AddStarts);
BENCHMARK(BM_Features)
    ->ArgNames({"n", "fast"})
    ->ArgsProduct({{64, 128, 256, 512}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Normals);

}  // namespace

BENCHMARK_MAIN();
