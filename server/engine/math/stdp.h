// Spike-timing-dependent plasticity: the weight change that pairs of spike times cause (numeric
// model, section 6.5).

#ifndef MFN_SERVER_ENGINE_MATH_STDP_H_
#define MFN_SERVER_ENGINE_MATH_STDP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/cancel.h"
#include "server/engine/error.h"

namespace mfn::engine {

// Limits of one call: the result takes at most 32 MB, the work at most 2^28 pairs.
inline constexpr uint64_t kMaxStdpWeights = uint64_t{1} << 22;  // n_pre * n_post
inline constexpr uint64_t kMaxStdpPairs = uint64_t{1} << 28;    // batch * n_pre * n_post

struct StdpParams {
  double tau_plus = 0.020;   // s, [0.005, 0.100]
  double tau_minus = 0.020;  // s, [0.005, 0.100]
  double a_plus = 0.01;      // [0.001, 0.1]
  double a_minus = 0.012;    // [0.001, 0.1]; need not exceed a_plus
};

// kInvalidArgument on the first field out of its range.
Expected<void> ValidateStdpParams(const StdpParams& params);

// Spike times in seconds, row-major and finite, borrowed from the caller.
struct StdpSpikes {
  std::span<const double> pre;   // [batch][n_pre]
  std::span<const double> post;  // [batch][n_post]
  size_t batch = 0;              // all three at least 1
  size_t n_pre = 0;
  size_t n_post = 0;
};

// The change of one pair for delta = post - pre: positive, +a_plus exp(-delta / tau_plus);
// negative, -a_minus exp(delta / tau_minus); 0 for 0. Exponents are clamped to [-50, 50].
double StdpPairChange(const StdpParams& params, double delta);

// Weight changes [n_pre][n_post], row-major: the mean over the batch. Within 1e-12 relative of the
// reference. `cancel` is polled for every row and time of pre; true ends it with kCancelled.
// kInvalidArgument on a parameter, "pre_times" or "post_times"; kResourceExhausted past
// the limits above.
Expected<std::vector<double>> StdpWeightChange(const StdpParams& params, const StdpSpikes& spikes,
                                               const CancelCheck& cancel = {});

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_STDP_H_
