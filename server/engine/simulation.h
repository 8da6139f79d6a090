// One field simulation that is advanced step by step (numeric model, sections 3.2 to 3.4). Running
// to an end with statistics and features is in run.h.

#ifndef MFN_SERVER_ENGINE_SIMULATION_H_
#define MFN_SERVER_ENGINE_SIMULATION_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "server/engine/aligned.h"
#include "server/engine/cancel.h"
#include "server/engine/config.h"
#include "server/engine/cores.h"
#include "server/engine/error.h"
#include "server/engine/features.h"
#include "server/engine/kernel.h"
#include "server/engine/rng.h"
#include "server/engine/stepper.h"
#include "server/engine/team.h"

namespace mfn::engine {

// Cell-steps for the last two: a cell counts again in every step.
struct Counters {
  int64_t steps_computed = 0;
  int64_t growth_events = 0;
  int64_t turing_activations = 0;
  int64_t clamping_events = 0;
  bool operator==(const Counters&) const = default;
};

// The state after a step. Arrays are N x N, row-major; they are valid during the call only.
struct StepView {
  int64_t step = 0;                   // 1 after the first step
  int64_t grid_size = 0;              // N
  std::span<const double> field;      // V, volt
  std::span<const double> activator;  // A
  std::span<const double> inhibitor;  // I
  Counters counters;
};

// Called after each step; false ends the run without error. Must not throw.
using StepObserver = std::function<bool(const StepView&)>;

// A caller's initial state. Each array has N * N values in [-1e100, 1e100] or is empty. Nothing is
// drawn for one that is given; one that is not is drawn as usual (V, A, I in this order), from
// `generator` if there is one, else from the start of the seed's stream. So the spans, the
// generator() and the counters() of a simulation, taken at any step, continue it exactly. With
// Precision::kFast a value is rounded to a float; a span of that simulation's holds floats already.
struct InitialState {
  std::span<const double> field;
  std::span<const double> activator;
  std::span<const double> inhibitor;
  std::optional<Generator> generator;
  Counters counters = {};  // where counting begins; none below 0
};

// Owns its arrays and its generator. Not safe for use by two threads at once; instances are
// independent. Nothing throws; a step allocates nothing (several at once: nothing after the first
// time). The number of threads and the presence of an observer make no difference to any bit.
class Simulation {
 public:
  // Checks with ValidateEngine, draws the initial state. The steps of the configuration do not
  // matter here: the caller decides how far to go.
  static Expected<std::unique_ptr<Simulation>> Create(const SimulationConfig& config);
  // Errors besides those of Create: kInvalidArgument on "initial_field", "initial_activator" or
  // "initial_inhibitor" for a wrong size or a value that is not finite.
  static Expected<std::unique_ptr<Simulation>> CreateFrom(const SimulationConfig& config,
                                                          const InitialState& initial);

  // An empty simulation, to be Reset before use; Step fails until then.
  Simulation() = default;
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // How many threads may work on one large grid, the caller's included; 1 to begin with. Helpers
  // start at the first Reset that can use them and live as long as the simulation. Small grids keep
  // to the caller's thread, as do steps with jitter or an observer, and with features those that
  // are not taken several at once.
  void SetThreads(size_t threads) { threads_ = threads > 0 ? threads : 1; }
  // These threads; null if the grid is small or there is one. Not while the simulation runs.
  Team* team();

  // From whom a run with features and without an observer borrows idle cores for a large grid, step
  // by step, while it takes one itself; null, as to begin with: from nobody. Outlives the runs.
  void SetCores(Cores* cores) { cores_ = cores; }

  // Starts over with another configuration and keeps the memory if it is large enough. After an
  // error the simulation is empty. `initial` must not refer to this simulation's own arrays.
  Expected<void> Reset(const SimulationConfig& config);
  Expected<void> Reset(const SimulationConfig& config, const InitialState& initial);

  // One step. kNumericalInstability if check_stability found NaN or infinity: field is "field",
  // "activator" or "inhibitor", with the zero-based step and the number of cells; every further
  // step repeats that error.
  Expected<void> Step();

  // Up to `steps` steps; returns how many were done in this call (fewer if the observer ended it).
  // Either function may be empty. On kCancelled the state is that after the last full step, and
  // stepping may go on.
  // `features`, unless null, takes in every frame before the observer sees it; the steps of several
  // calls must follow each other.
  Expected<int64_t> Run(int64_t steps, const StepObserver& observer = {},
                        const CancelCheck& cancel = {}, FeatureAccumulator* features = nullptr);

  // The seed of the configuration is always the one in effect.
  const SimulationConfig& config() const { return config_; }
  int64_t grid_size() const { return config_.grid_size; }
  const Counters& counters() const { return counters_; }
  // Valid until the next step or Reset.
  std::span<const double> field() const {
    return fast() ? wide_[0].Of(fast_.field()) : grid_.field();
  }  // volt
  std::span<const double> activator() const {
    return fast() ? wide_[1].Of(fast_.activator()) : grid_.activator();
  }
  std::span<const double> inhibitor() const {
    return fast() ? wide_[2].Of(fast_.inhibitor()) : grid_.inhibitor();
  }
  const Generator& generator() const { return generator_; }
  StepView view() const;
  // An accumulator whose memory belongs to this simulation, for whoever runs it.
  FeatureAccumulator& features() { return features_; }
  // What it holds for whichever configuration comes next, that accumulator included.
  size_t MemoryBytes() const;

 private:
  // Floats as doubles, made when they are asked for.
  class Widened {
   public:
    // May throw std::bad_alloc when it was not resized.
    std::span<const double> Of(std::span<const float> values);
    // The array itself, to be written.
    std::span<double> Resize(size_t size) {
      values_.resize(size);
      return values_;
    }
    void Forget() { fresh_ = false; }
    size_t MemoryBytes() const { return values_.capacity() * sizeof(double); }

   private:
    AlignedVector<double> values_;
    bool fresh_ = false;
  };

  bool fast() const { return config_.precision == Precision::kFast; }
  Expected<void> Start(const SimulationConfig& config, const InitialState* initial);
  Expected<void> Allocate();
  void FillInitial(const InitialState& initial);
  Team& TeamOfThreads();
  // Sets an array to what `fill` makes of doubles, in the precision of the state.
  template <typename Fill>
  void Set(std::span<double> exact, std::span<float> fast, Widened& wide, const Fill& fill);
  StepCounts TakeStep(const std::optional<Spike>& spike, FeatureAccumulator* features);
  Expected<void> StepWith(FeatureAccumulator* features);
  // Run, in whatever order the cells lie.
  Expected<int64_t> RunAsItLies(int64_t steps, const StepObserver& observer,
                                const CancelCheck& cancel, FeatureAccumulator* features);
  // Takes up to `steps` steps at once if there is something to gain; returns how many it took.
  int64_t StepMany(int64_t steps);
  template <typename T>
  int64_t StepMany(Stepper<T>& grid, int64_t steps);
  // The same with features, with whoever is idle: tiles that make drafts of the frames.
  int64_t StepDrafted(int64_t steps, FeatureAccumulator* features);
  template <typename T>
  int64_t StepDrafted(Stepper<T>& grid, int64_t steps, Team& team, FeatureAccumulator* features);
  // The same where there are no drafts: step by step, together with whoever is idle.
  int64_t StepTogether(int64_t steps, FeatureAccumulator* features);
  std::optional<Spike> NextSpike();
  void Count(const StepCounts& counts);
  void CheckStability(const StepCounts& counts);

  SimulationConfig config_;
  KernelParams params_;
  Generator generator_{uint64_t{0}};
  Counters counters_;
  bool ready_ = false;
  std::optional<Error> failure_;
  // One of them has the state, as the precision says; the other only keeps its memory.
  Stepper<double> grid_;
  Stepper<float> fast_;
  mutable std::array<Widened, 3> wide_;
  FeatureAccumulator features_;
  size_t threads_ = 1;
  Cores* cores_ = nullptr;
  std::optional<Team> team_;
  size_t team_threads_ = 0;  // for which it was made
  std::array<FrameDraft, kMaxStepsAtOnce> drafts_;
  int64_t undrafted_ = 0;  // steps to take before drafts are tried again
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_SIMULATION_H_
