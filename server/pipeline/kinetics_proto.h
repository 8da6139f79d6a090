// The choice of a chemistry, between messages and the engine: presets, kinetics, time step,
// spacing. Parameters have the same names in both, so they are copied by name. Pure and
// thread-safe.
#ifndef MFN_SERVER_PIPELINE_KINETICS_PROTO_H_
#define MFN_SERVER_PIPELINE_KINETICS_PROTO_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mfn/v1/simulation.pb.h"
#include "server/engine/config.h"

namespace mfn::pipeline {

// The configuration to which the other fields of the request are applied: the defaults, or those of
// its preset or kinetics. INVALID_ARGUMENT on "pattern_preset", "kinetics", or a rate that does not
// go with them; ranges are the engine's to check.
absl::StatusOr<engine::SimulationConfig> ReadKinetics(const mfn::v1::SimulationRequest& request);

// The rates of the reference's chemistry, or the kinetics in its place; time step and spacing.
void KineticsToProto(const engine::SimulationConfig& from, mfn::v1::SimulationConfig* to);

// A sentence if noise on the steady state cannot grow with these kinetics, so that what starts from
// it becomes uniform; else empty. Always empty for kinetics that start from something else.
std::string UniformityWarning(const engine::SimulationConfig& config);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_KINETICS_PROTO_H_
