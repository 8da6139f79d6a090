// For tests: all that a run computes, to be compared with that of another.

#ifndef MFN_SERVER_ENGINE_RUN_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_RUN_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "server/engine/run.h"

namespace mfn::engine {

// The final fields, the features and the counters of a run with features that borrows from `cores`;
// empty, and the test has failed, if there was an error.
inline std::vector<double> EverythingOf(const SimulationConfig& config, Cores* cores = nullptr) {
  RunOptions options;
  options.features.emplace();
  options.chemistry = true;
  options.cores = cores;
  const auto run = RunSimulation(config, options);
  EXPECT_TRUE(run.ok()) << run.error().message;
  if (!run.ok()) return {};
  std::vector<double> all = run->field;
  all.insert(all.end(), run->activator.begin(), run->activator.end());
  all.insert(all.end(), run->inhibitor.begin(), run->inhibitor.end());
  for (double feature : run->features->ToArray()) all.push_back(feature);
  for (int64_t count : {run->counters.steps_computed, run->counters.growth_events,
                        run->counters.turing_activations, run->counters.clamping_events}) {
    all.push_back(static_cast<double>(count));
  }
  return all;
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_RUN_TEST_UTIL_H_
