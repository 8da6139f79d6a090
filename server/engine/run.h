// A whole run: validate, simulate, collect features while stepping, report statistics (numeric
// model, section 3.5). This is the entry point for everyone who does not step by hand.

#ifndef MFN_SERVER_ENGINE_RUN_H_
#define MFN_SERVER_ENGINE_RUN_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "server/engine/config.h"
#include "server/engine/error.h"
#include "server/engine/features.h"
#include "server/engine/simulation.h"

namespace mfn::engine {

// Of the final state; exact (section 1.1).
struct FieldStatistics {
  double field_min_v = 0.0;
  double field_max_v = 0.0;
  double field_mean_v = 0.0;
  double field_std_v = 0.0;
  double activator_mean = 0.0;
  double inhibitor_mean = 0.0;

  bool operator==(const FieldStatistics&) const = default;
};

struct RunOptions {
  // Keep V after every step: T * N * N doubles. More than max_history_cells is refused with
  // kResourceExhausted on "history" before anything is computed.
  bool history = false;
  int64_t max_history_cells = int64_t{1} << 27;  // 1 GiB
  // Keep the final activator and inhibitor.
  bool chemistry = false;
  // Compute the 18 features while stepping, as from the full history.
  std::optional<FeatureConfig> features;
  // Start from this instead of a drawn state. After initial->counters.steps_computed steps only the
  // rest of the configuration's steps is run; at least one must be left.
  std::optional<InitialState> initial;
  // What the features had gathered when that state was taken; borrowed. For a run with features.
  const FeatureState* feature_state = nullptr;
  // Keep what a later run needs to go on from the end: chemistry, generator, feature state.
  bool snapshot = false;
  StepObserver observer;
  CancelCheck cancel;
  // A simulation whose memory is used again; it holds the final state afterwards. Borrowed, may be
  // null, and must not be used by another thread meanwhile.
  Simulation* arena = nullptr;
  // For one large grid, the caller's thread included (Simulation::SetThreads); 0 counts as 1.
  size_t threads = 1;
  // Whose idle cores help with a large grid when there are features (Simulation::SetCores);
  // borrowed, may be null.
  Cores* cores = nullptr;
  // For `elapsed`; the steady clock if empty.
  std::function<std::chrono::nanoseconds()> clock;
};

struct RunResult {
  int64_t grid_size = 0;
  Seed seed;          // the one in effect, drawn if the configuration had none
  Counters counters;  // counters.steps_computed < steps only if the observer ended the run
  FieldStatistics statistics;
  std::optional<Features> features;    // of all frames; absent unless asked for
  std::vector<double> field;           // final V, volt, N x N row-major
  std::vector<double> activator;       // empty unless asked for
  std::vector<double> inhibitor;       // empty unless asked for
  std::vector<double> history;         // steps run x N x N, frame-major; empty unless asked for
  std::optional<Generator> generator;  // absent unless a snapshot was asked for
  std::optional<FeatureState> feature_state;  // the same, and only with features
  std::chrono::nanoseconds elapsed{0};
};

// Errors: those of ValidateRun, FeatureConfig::Validate and Simulation; kCancelled;
// kResourceExhausted. Limits of a server (CheckLimits) are the caller's to apply first.
Expected<RunResult> RunSimulation(const SimulationConfig& config, const RunOptions& options = {});

// The statistics of a state; every span must hold at least one value. `team`, unless null, shares
// the work.
FieldStatistics StatisticsOf(std::span<const double> field, std::span<const double> activator,
                             std::span<const double> inhibitor, Team* team = nullptr);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_RUN_H_
