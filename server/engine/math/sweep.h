// Runs a series of simulations with their features on several threads: the data-set sweep of the
// numeric model (section 6.11).

#ifndef MFN_SERVER_ENGINE_MATH_SWEEP_H_
#define MFN_SERVER_ENGINE_MATH_SWEEP_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "server/engine/config.h"
#include "server/engine/error.h"
#include "server/engine/features.h"
#include "server/engine/math/sampler.h"
#include "server/engine/simulation.h"

namespace mfn::engine {

inline constexpr int64_t kMaxSweepThreads = 256;

struct SweepRow {
  SweepItem item;     // config.seed is the one in effect
  Features features;  // from the whole history
  Counters counters;
};

struct SweepFailure {
  int64_t sim_id = 0;
  Error error;
};

struct SweepOptions {
  int64_t threads = 1;  // [0, kMaxSweepThreads], the caller's included; 0: one per processor
  FeatureConfig features;
  Limits limits;  // a configuration beyond them counts as failed
  // Polled before every step by every thread, so it must be safe to call concurrently; true ends
  // the sweep with kCancelled. Must not throw.
  CancelCheck cancel;
  // Called for every finished simulation, failed or not, with the numbers finished so far and in
  // all; one call at a time, from any of the threads. Must not throw.
  std::function<void(int64_t finished, int64_t total)> progress;
};

struct SweepResult {
  std::vector<SweepRow> rows;  // of the simulations that succeeded, in the order of the items
  std::vector<SweepFailure> failures;  // of the others, likewise; skipped, not fatal
};

// The result does not depend on the number of threads. Each thread reuses the memory of one
// simulation. kInvalidArgument on "threads", "items" (more than kMaxSweepItems) or the feature
// configuration; kCancelled. If the system refuses a thread, the sweep goes on with fewer.
Expected<SweepResult> RunSweep(std::span<const SweepItem> items, const SweepOptions& options = {});

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_SWEEP_H_
