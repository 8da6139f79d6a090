// Robust aggregation of gradients: Krum selection and the two-level aggregation built on it
// (numeric model, section 6.7), in binary64 and in the binary32 form of the wire.

#ifndef MFN_SERVER_ENGINE_MATH_KRUM_H_
#define MFN_SERVER_ENGINE_MATH_KRUM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/cancel.h"
#include "server/engine/error.h"
#include "server/engine/rng.h"

namespace mfn::engine {

// Limits of one call. Memory beyond the input: one copy of the gradients and one row of distances.
inline constexpr uint64_t kMaxKrumGradients = 100'000;
inline constexpr uint64_t kMaxKrumValues = uint64_t{1} << 24;  // count * dimension
// Krum compares all pairs of a cluster: sum over clusters of size^2 * (dimension + 16).
inline constexpr uint64_t kMaxKrumWork = uint64_t{1} << 32;

// The seed of the reference's aggregator.
inline constexpr uint64_t kKrumDefaultSeed = 42;
// More gradients than this are sampled first.
inline constexpr size_t kKrumSamplingThreshold = 1000;

// Gradients, borrowed from the caller: equal lengths of at least 1, all values finite.
using Gradients = std::span<const std::span<const double>>;

struct KrumParams {
  int64_t num_clusters = 100;       // >= 1; a request over the wire defaults to 10
  double byzantine_fraction = 0.2;  // [0, 0.5)
  double sample_fraction = 0.1;     // (0, 1]; used above kKrumSamplingThreshold gradients
};

// kInvalidArgument on the first field out of its range.
Expected<void> ValidateKrumParams(const KrumParams& params);

// The index of the gradient whose max(1, n - num_byzantine - 2) nearest others are closest in sum
// of Euclidean (not squared) distances, computed in binary64; the lowest index wins ties. A single
// gradient is its own choice.
// kInvalidArgument on "gradients" or "num_byzantine"; kResourceExhausted past the limits above.
Expected<size_t> KrumSelect(Gradients gradients, int64_t num_byzantine);

// `cancel` is polled for every gradient that is compared with the others; true ends it with
// kCancelled.
// Samples, clusters at random, takes Krum's choice of every cluster and joins the choices: 0.7 of
// their Krum choice plus 0.3 of their coordinate-wise lower median. Continues the generator's
// stream; the reference starts it from kKrumDefaultSeed on every call. Same errors, and those of
// the parameters.
Expected<std::vector<double>> AggregateGradients(const KrumParams& params, Gradients gradients,
                                                 Generator& generator,
                                                 const CancelCheck& cancel = {});

// The same over the wire: inputs are rounded to binary32 first (one that overflows there is not
// finite) and the last step is computed in binary32.
Expected<std::vector<float>> AggregateGradientsFloat32(const KrumParams& params,
                                                       Gradients gradients, Generator& generator,
                                                       const CancelCheck& cancel = {});

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_KRUM_H_
