// The request-level simulator: an older one with the same physics but other bits and almost no
// input checks, kept so that HTTP results can be reproduced (numeric model, section 4). Use run.h
// for everything else.

#ifndef MFN_SERVER_ENGINE_REQUEST_SIMULATION_H_
#define MFN_SERVER_ENGINE_REQUEST_SIMULATION_H_

#include <cstdint>
#include <vector>

#include "server/engine/error.h"
#include "server/engine/rng.h"
#include "server/engine/simulation.h"

namespace mfn::engine {

// Periodic, with the fixed reaction rates.
struct RequestSimulationConfig {
  int64_t grid_size = 64;           // [1, 1024]
  int64_t steps = 64;               // >= 0
  double alpha = 0.18;              // any finite value: unstable ones stay bounded by the clamp
  double spike_probability = 0.25;  // any finite value
  bool turing_enabled = true;
  double turing_threshold = 0.75;  // any finite value
  bool quantum_jitter = false;
  double jitter_var = 0.0005;  // >= 0
};

// What can be simulated at all; kInvalidArgument or, for grid_size, kOutOfRange.
Expected<void> ValidateRequestSimulation(const RequestSimulationConfig& config);

// The limits of the HTTP message (section 7.2), inclusive: grid_size [8, 256], steps [1, 1000],
// alpha and spike_probability [0, 1]. Errors are kInvalidArgument.
Expected<void> CheckRequestLimits(const RequestSimulationConfig& config);

struct RequestSimulationResult {
  int64_t grid_size = 0;
  int64_t growth_events = 0;
  std::vector<double> field;  // final V, volt, N x N row-major
};

// Takes its random numbers from `generator` and leaves it where the simulation stopped, so that
// more can be drawn from the same stream. Unlike a Simulation it draws the chemistry only with
// turing_enabled. `cancel` is polled before each step (kCancelled).
Expected<RequestSimulationResult> RunRequestSimulation(const RequestSimulationConfig& config,
                                                       Generator& generator,
                                                       const CancelCheck& cancel = {});

// The values of the HTTP reply.
struct RequestReply {
  int64_t growth_events = 0;
  double pot_min_mv = 0.0;
  double pot_max_mv = 0.0;
  double pot_mean_mv = 0.0;
  double pot_std_mv = 0.0;
  double fractal_dimension = 0.0;  // ModelBoxDimension of V > -60 mV
};
Expected<RequestReply> MakeRequestReply(const RequestSimulationResult& result);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_REQUEST_SIMULATION_H_
