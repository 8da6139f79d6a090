// The part of a step that runs in vectors (kernel.h offers the whole). Internal to the engine.
#ifndef MFN_SERVER_ENGINE_KERNEL_SIMD_H_
#define MFN_SERVER_ENGINE_KERNEL_SIMD_H_

#include "server/engine/kernel.h"

namespace mfn::engine {

// Diffusion and chemistry, and the clamp of the field unless jitter is to be added first. The
// instruction set is chosen once, for the processor this runs on; the result has the same bits on
// all of them.
StepCounts StepFieldSimd(const KernelParams& params, const KernelState& state);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_KERNEL_SIMD_H_
