// The life of one simulation: initial state, steps, errors.

#include "server/engine/simulation.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <utility>
#include <variant>

#include "server/engine/stability.h"

namespace mfn::engine {
namespace {

// With more the stencil overflows, which no clamp mends.
constexpr double kMaxInitial = 1e100;
constexpr double kMaxInitialFast = 1e30;
// With features, a grid of this side and more is shared, and each member must have so many rows: a
// step must take some time beyond what waiting for each other does. (Measured: floats at 256 take
// longer together than alone.)
constexpr int64_t kTogetherSide = 256;
constexpr int64_t kTogetherSideFast = 512;
constexpr int64_t kRowsPerMember = 64;
// Grids of this side and more are work for several threads.
constexpr int64_t kSharedSide = 256;

Expected<void> CheckInitial(const char* name, std::span<const double> values, size_t cells,
                            const SimulationConfig& config) {
  if (values.size() != cells) {
    Error error =
        InvalidArgument(name, std::string(name) + " has " + std::to_string(values.size()) +
                                  " values, must have " + std::to_string(cells) + " (grid_size " +
                                  std::to_string(config.grid_size) + " squared)");
    error.count = static_cast<int64_t>(values.size());
    return error;
  }
  const bool fast = config.precision == Precision::kFast;
  const double most = fast ? kMaxInitialFast : kMaxInitial;
  for (size_t k = 0; k < values.size(); ++k) {
    if (std::abs(values[k]) <= most) continue;
    Error error = InvalidArgument(name, std::string(name) + "[" + std::to_string(k) + "] is " +
                                            FormatDouble(values[k]) +
                                            (!std::isfinite(values[k]) ? ", must be finite"
                                             : fast ? ", must be in [-1e30, 1e30] in fast precision"
                                                    : ", must be in [-1e100, 1e100]"));
    error.value = values[k];
    return error;
  }
  return {};
}

Expected<void> CheckInitial(const InitialState& initial, const SimulationConfig& config) {
  const size_t cells = static_cast<size_t>(config.grid_size * config.grid_size);
  for (const auto& [name, values] : {std::pair{"initial_field", initial.field},
                                     std::pair{"initial_activator", initial.activator},
                                     std::pair{"initial_inhibitor", initial.inhibitor}}) {
    if (values.empty()) continue;
    if (auto valid = CheckInitial(name, values, cells, config); !valid.ok()) return valid;
  }
  return {};
}

KernelParams ParamsOf(const SimulationConfig& config) {
  const double diffusion_step = config.time_step / (config.spacing * config.spacing);
  const Diffusion diffusion = DiffusionOf(config);
  KernelParams params;
  params.boundary = config.boundary;
  params.alpha = config.alpha;
  params.turing_enabled = config.turing_enabled;
  params.turing_threshold = config.turing_threshold;
  params.d_activator = diffusion.activator * diffusion_step;
  params.d_inhibitor = diffusion.inhibitor * diffusion_step;
  params.r_activator = config.r_activator * config.time_step;
  params.r_inhibitor = config.r_inhibitor * config.time_step;
  params.kinetics = config.kinetics;
  params.time_step = config.time_step;
  params.quantum_jitter = config.quantum_jitter;
  params.jitter_sd = std::sqrt(config.jitter_var);
  return params;
}

// A square of the autocatalyst in the middle of substrate alone, all of it within 1 % (Pearson).
struct DisturbedSquare {
  static constexpr size_t kSide = 20;
  static constexpr double kNoise = 0.01;
  double inside, outside;

  void Fill(Generator& generator, size_t n, std::span<double> values) const {
    generator.FillUniform(values, 1.0 - kNoise, 1.0 + kNoise);
    const size_t side = std::min(kSide, n / 2);
    const size_t first = (n - side) / 2;
    for (size_t k = 0; k < values.size(); ++k) {
      const bool within = k / n - first < side && k % n - first < side;
      values[k] *= within ? inside : outside;
    }
  }
};

// What the model has where nothing is given: the reference's draw for its own kinetics, a disturbed
// square for Gray-Scott, else the steady state with a little noise.
void DrawChemistry(const SimulationConfig& config, bool activator, Generator& generator,
                   std::span<double> values) {
  constexpr double kNoise = 0.01;
  if (std::holds_alternative<Mfn>(config.kinetics)) {
    generator.FillUniform(values, 0.0, kInitialChemicalMax);
  } else if (std::holds_alternative<GrayScott>(config.kinetics)) {
    const size_t n = static_cast<size_t>(config.grid_size);
    const DisturbedSquare square =
        activator ? DisturbedSquare{0.25, 0.0} : DisturbedSquare{0.5, 1.0};
    square.Fill(generator, n, values);
  } else {
    const Species steady = SteadyState(config);
    const double level = activator ? steady.activator : steady.inhibitor;
    generator.FillUniform(values, level - kNoise, level + kNoise);
  }
}

}  // namespace

Expected<std::unique_ptr<Simulation>> Simulation::Create(const SimulationConfig& config) {
  auto simulation = std::make_unique<Simulation>();
  if (auto reset = simulation->Reset(config); !reset.ok()) return reset.error();
  return simulation;
}

Expected<std::unique_ptr<Simulation>> Simulation::CreateFrom(const SimulationConfig& config,
                                                             const InitialState& initial) {
  auto simulation = std::make_unique<Simulation>();
  if (auto reset = simulation->Reset(config, initial); !reset.ok()) return reset.error();
  return simulation;
}

std::span<const double> Simulation::Widened::Of(std::span<const float> values) {
  if (fresh_) return values_;
  values_.resize(values.size());
  std::copy(values.begin(), values.end(), values_.begin());
  fresh_ = true;
  return values_;
}

Expected<void> Simulation::Reset(const SimulationConfig& config) { return Start(config, nullptr); }

Expected<void> Simulation::Reset(const SimulationConfig& config, const InitialState& initial) {
  return Start(config, &initial);
}

Expected<void> Simulation::Start(const SimulationConfig& config, const InitialState* initial) {
  ready_ = false;
  failure_.reset();
  counters_ = {};
  undrafted_ = 0;
  if (auto valid = ValidateEngine(config); !valid.ok()) return valid;
  if (initial != nullptr) {
    if (auto valid = CheckInitial(*initial, config); !valid.ok()) return valid;
  }
  config_ = config;
  if (!config_.seed) config_.seed = RandomSeed();
  params_ = ParamsOf(config_);
  const bool given_generator = initial != nullptr && initial->generator.has_value();
  generator_ = given_generator ? *initial->generator : Generator(*config_.seed);
  if (initial != nullptr) counters_ = initial->counters;
  if (auto memory = Allocate(); !memory.ok()) return memory;
  FillInitial(initial != nullptr ? *initial : InitialState());
  ready_ = true;
  return {};
}

Expected<void> Simulation::Allocate() {
  const size_t n = static_cast<size_t>(config_.grid_size);
  try {
    const size_t strips = n < static_cast<size_t>(kSharedSide) ? 1 : threads_;
    if (fast()) {
      fast_.Resize(n, strips);
      for (Widened& wide : wide_) wide.Resize(n * n);
    } else {
      grid_.Resize(n, strips);
    }
  } catch (const std::bad_alloc&) {
    Error error;
    error.kind = ErrorKind::kResourceExhausted;
    error.field = "grid_size";
    error.message = "not enough memory for grid_size " + std::to_string(config_.grid_size);
    return error;
  }
  return {};
}

template <typename Fill>
void Simulation::Set(std::span<double> exact, std::span<float> floats, Widened& wide,
                     const Fill& fill) {
  if (!fast()) return fill(exact);
  wide.Forget();
  const std::span<double> doubles = wide.Resize(floats.size());
  fill(doubles);
  std::transform(doubles.begin(), doubles.end(), floats.begin(),
                 [](double v) { return static_cast<float>(v); });
}

// Draws in the order of section 3.2 (A before I) what the caller did not give.
void Simulation::FillInitial(const InitialState& given) {
  Set(grid_.field(), fast_.field(), wide_[0], [&](std::span<double> v) {
    if (given.field.empty()) return generator_.FillNormal(v, kInitialMeanV, kInitialSdV);
    std::copy(given.field.begin(), given.field.end(), v.begin());
  });
  // The spans are taken here: doing so makes the grid forget what it knew of its state.
  const std::span<double> exact[] = {grid_.activator(), grid_.inhibitor()};
  const std::span<float> floats[] = {fast_.activator(), fast_.inhibitor()};
  const auto fill = [&](size_t species, Generator* generator) {
    const std::span<const double> values = species == 0 ? given.activator : given.inhibitor;
    Set(exact[species], floats[species], wide_[1 + species], [&](std::span<double> v) {
      if (values.empty()) return DrawChemistry(config_, species == 0, *generator, v);
      std::copy(values.begin(), values.end(), v.begin());
    });
  };
  Team* const together = team();
  if (together == nullptr) {
    fill(0, &generator_);
    fill(1, &generator_);
    return;
  }
  Generator second = generator_;
  // Every value takes one word.
  const int64_t cells = config_.grid_size * config_.grid_size;
  if (given.activator.empty()) second.Skip(static_cast<uint64_t>(cells));
  together->Run([&](size_t member) {
    if (member == 0) fill(0, &generator_);
    if (member == 1 || together->members() == 1) fill(1, &second);
  });
  generator_ = second;
}

Team* Simulation::team() {
  return threads_ < 2 || config_.grid_size < kSharedSide ? nullptr : &TeamOfThreads();
}

// It may have fewer members than it was to have.
Team& Simulation::TeamOfThreads() {
  if (!team_ || team_threads_ != threads_) team_.emplace(threads_);
  team_threads_ = threads_;
  return *team_;
}

Expected<void> Simulation::Step() { return StepWith(nullptr); }

Expected<void> Simulation::StepWith(FeatureAccumulator* features) {
  if (!ready_) return InvalidArgument("", "the simulation has no configuration: Reset it first");
  if (failure_) return *failure_;
  const std::optional<Spike> spike = NextSpike();
  const StepCounts counts = TakeStep(spike, features);
  Count(counts);
  if (config_.check_stability) CheckStability(counts);
  ++counters_.steps_computed;
  if (failure_) return *failure_;
  return {};
}

StepCounts Simulation::TakeStep(const std::optional<Spike>& spike, FeatureAccumulator* features) {
  if (!fast()) return grid_.Step(params_, spike, generator_, features);
  for (Widened& wide : wide_) wide.Forget();
  return fast_.Step(params_, spike, generator_, features);
}

// Spikes do not depend on the state, so they can be drawn in advance. If one of the steps fails,
// all are taken back, to be done one by one until it is met. (With Mfn none can: a NaN needs
// parameters with which the grid takes its steps one by one anyway.)
template <typename T>
int64_t Simulation::StepMany(Stepper<T>& grid, int64_t steps) {
  const size_t at_once = std::min(grid.StepsAtOnce(params_, threads_), static_cast<size_t>(steps));
  if (at_once < 2) return 0;
  Team& together = TeamOfThreads();
  const Generator generator = generator_;
  const Counters counters = counters_;
  Spikes spikes;
  for (size_t s = 0; s < at_once; ++s) spikes[s] = NextSpike();
  const StepCounts counts = grid.StepMany(params_, at_once, spikes, together);
  if (config_.check_stability && !counts.Finite()) {
    grid.UndoMany(params_, spikes);
    generator_ = generator;
    counters_ = counters;
    return 0;
  }
  Count(counts);
  for (Widened& wide : wide_) wide.Forget();
  counters_.steps_computed += static_cast<int64_t>(at_once);
  return static_cast<int64_t>(at_once);
}

int64_t Simulation::StepMany(int64_t steps) {
  if (!ready_ || failure_) return 0;
  return fast() ? StepMany(fast_, steps) : StepMany(grid_, steps);
}

int64_t Simulation::StepDrafted(int64_t steps, FeatureAccumulator* features) {
  if (!ready_ || failure_ || config_.grid_size > int64_t{kMaxDraftSide} ||
      !features->TakesDrafts()) {
    return 0;
  }
  if (undrafted_ > 0) {
    --undrafted_;
    return 0;
  }
  const size_t alone = fast() ? fast_.StepsAtOnce(params_, 1) : grid_.StepsAtOnce(params_, 1);
  if (alone < 2) return 0;
  std::optional<Team> borrowed;
  if (cores_ != nullptr) {
    borrowed.emplace(*cores_, static_cast<size_t>(config_.grid_size / kRowsPerMember));
  }
  Team& team = borrowed ? *borrowed : TeamOfThreads();
  return fast() ? StepDrafted(fast_, steps, team, features)
                : StepDrafted(grid_, steps, team, features);
}

// As StepMany; and if a draft does not suffice, some steps are taken one by one.
template <typename T>
int64_t Simulation::StepDrafted(Stepper<T>& grid, int64_t steps, Team& team,
                                FeatureAccumulator* features) {
  const size_t at_once =
      std::min(grid.StepsAtOnce(params_, team.members()), static_cast<size_t>(steps));
  if (at_once < 2) return 0;
  const std::span<FrameDraft> drafts(drafts_.data(), at_once);
  for (FrameDraft& draft : drafts) draft.Reset(grid.n(), features->NoSums());
  const Generator generator = generator_;
  const Counters counters = counters_;
  Spikes spikes;
  for (size_t s = 0; s < at_once; ++s) spikes[s] = NextSpike();
  const StepCounts counts = grid.StepMany(params_, at_once, spikes, team, drafts);
  const bool finite = !config_.check_stability || counts.Finite();
  if (!finite || !std::ranges::all_of(drafts, [features](const FrameDraft& draft) {
        return features->Suffices(draft);
      })) {
    grid.UndoMany(params_, spikes);
    generator_ = generator;
    counters_ = counters;
    // Once more with closer looks, or else past these steps one by one.
    const bool retry = finite && features->LookCloser();
    undrafted_ = retry ? 0 : static_cast<int64_t>(at_once);
    return retry ? StepDrafted(grid, steps, team, features) : 0;
  }
  for (const FrameDraft& draft : drafts) features->AddDraft(draft);
  Count(counts);
  for (Widened& wide : wide_) wide.Forget();
  counters_.steps_computed += static_cast<int64_t>(at_once);
  return static_cast<int64_t>(at_once);
}

int64_t Simulation::StepTogether(int64_t steps, FeatureAccumulator* features) {
  if (cores_ == nullptr || config_.quantum_jitter || !params_.Finite() || !ready_ || failure_ ||
      config_.grid_size < (fast() ? kTogetherSideFast : kTogetherSide)) {
    return 0;
  }
  Team team(*cores_, static_cast<size_t>(config_.grid_size / kRowsPerMember));
  if (team.members() < 2) return 0;
  const size_t at_once = static_cast<size_t>(std::min<int64_t>(kMaxStepsAtOnce, steps));
  const Generator generator = generator_;
  const int64_t growth_events = counters_.growth_events;
  Spikes spikes;
  for (size_t s = 0; s < at_once; ++s) spikes[s] = NextSpike();
  StepCounts counts;
  const auto step = [&](auto& grid) {
    return grid.StepTogether(params_, at_once, spikes, config_.check_stability, team, features,
                             &counts);
  };
  const size_t taken = fast() ? step(fast_) : step(grid_);
  for (Widened& wide : wide_) wide.Forget();
  if (taken < at_once) {  // the draws end with the step that failed
    generator_ = generator;
    counters_.growth_events = growth_events;
    for (size_t s = 0; s < taken; ++s) NextSpike();
  }
  Count(counts);
  counters_.steps_computed += static_cast<int64_t>(taken) - 1;
  if (config_.check_stability) CheckStability(counts);
  ++counters_.steps_computed;
  return static_cast<int64_t>(taken);
}

std::optional<Spike> Simulation::NextSpike() {
  const std::optional<Spike> spike =
      DrawSpike(config_.spike_probability, static_cast<size_t>(config_.grid_size), generator_);
  counters_.growth_events += spike ? 1 : 0;
  return spike;
}

void Simulation::Count(const StepCounts& counts) {
  counters_.turing_activations += counts.turing_activations;
  counters_.clamping_events += counts.clamping_events;
}

void Simulation::CheckStability(const StepCounts& counts) {
  const std::pair<const char*, int64_t> fields[] = {{"field", counts.field_bad},
                                                    {"activator", counts.activator_bad},
                                                    {"inhibitor", counts.inhibitor_bad}};
  for (const auto& [name, count] : fields) {
    if (count == 0) continue;
    Error error;
    error.kind = ErrorKind::kNumericalInstability;
    error.field = name;
    error.step = counters_.steps_computed;
    error.count = count;
    error.message = std::string(name) + " has " + std::to_string(count) +
                    " cells that are not finite after step " +
                    std::to_string(counters_.steps_computed);
    failure_ = std::move(error);
    return;
  }
}

Expected<int64_t> Simulation::Run(int64_t steps, const StepObserver& observer,
                                  const CancelCheck& cancel, FeatureAccumulator* features) {
  const Cores::Seat seat(cores_);
  if (!ready_ || observer) return RunAsItLies(steps, observer, cancel, features);
  if (fast()) {
    fast_.Arrange(params_, steps, features != nullptr, team());
  } else {
    grid_.Arrange(params_, steps, features != nullptr, team());
  }
  auto done = RunAsItLies(steps, observer, cancel, features);
  fast_.ArrangeByColumns(params_, team());
  grid_.ArrangeByColumns(params_, team());
  return done;
}

Expected<int64_t> Simulation::RunAsItLies(int64_t steps, const StepObserver& observer,
                                          const CancelCheck& cancel, FeatureAccumulator* features) {
  for (int64_t done = 0; done < steps;) {
    if (cancel && cancel()) {
      Error error;
      error.kind = ErrorKind::kCancelled;
      error.step = counters_.steps_computed;
      error.message =
          "cancelled after " + std::to_string(counters_.steps_computed) + " steps were computed";
      return error;
    }
    const int64_t left = steps - done;
    int64_t many = 0;
    if (!observer && features != nullptr) {
      many = StepDrafted(left, features);
      if (many == 0) many = StepTogether(left, features);
    } else if (!observer) {
      many = StepMany(left);
    }
    if (failure_) return *failure_;
    done += many;
    if (many > 0) continue;
    if (auto step = StepWith(features); !step.ok()) return step.error();
    ++done;
    if (observer && !observer(view())) return done;
  }
  return steps > 0 ? steps : 0;
}

size_t Simulation::MemoryBytes() const {
  size_t bytes = grid_.MemoryBytes() + fast_.MemoryBytes() + features_.MemoryBytes();
  for (const Widened& wide : wide_) bytes += wide.MemoryBytes();
  for (const FrameDraft& draft : drafts_) bytes += draft.MemoryBytes();
  return bytes;
}

StepView Simulation::view() const {
  return {
      counters_.steps_computed, config_.grid_size, field(), activator(), inhibitor(), counters_};
}

}  // namespace mfn::engine
