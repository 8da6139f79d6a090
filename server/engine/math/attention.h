// Sparse attention: single-head attention in which every position listens to its few best matches
// only (numeric model, section 6.6), with the gradients that training needs.

#ifndef MFN_SERVER_ENGINE_MATH_ATTENTION_H_
#define MFN_SERVER_ENGINE_MATH_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/error.h"
#include "server/engine/math/affine.h"

namespace mfn::engine {

// Limits of one call.
inline constexpr int64_t kMaxAttentionDim = 1024;
inline constexpr size_t kMaxAttentionValues = size_t{1} << 22;  // batch * length * dim
inline constexpr size_t kMaxAttentionLength = 4096;
inline constexpr uint64_t kMaxAttentionWork = uint64_t{1} << 33;  // multiply-adds

struct AttentionConfig {
  int64_t embed_dim = 0;  // d, [1, kMaxAttentionDim]
  int64_t topk = 4;       // >= 1; more than the length keeps every score
  int64_t num_heads = 1;  // only 1: the reference accepts more and ignores them
};

// kInvalidArgument on the first field out of its range.
Expected<void> ValidateAttentionConfig(const AttentionConfig& config);

// Four maps d -> d, borrowed.
struct AttentionMaps {
  Affine query, key, value, output;
};
struct AttentionGradients {
  AffineGradient query, key, value, output;
};

// x[batch][length][d] -> the same shape, row-major. S = Q K^T / sqrt(d); of every row the topk
// largest scores are kept (lowest index on ties) and weighted by softmax; a NaN weight counts as 0.
// Within 1e-11 relative of the reference. kInvalidArgument on a parameter, "maps" or "x" (shape,
// not finite); kResourceExhausted past the limits above.
Expected<std::vector<double>> SparseAttention(const AttentionConfig& config,
                                              const AttentionMaps& maps, std::span<const double> x,
                                              size_t batch, size_t length);

// What the forward pass of one sequence leaves for its backward pass.
struct AttentionTrace {
  std::vector<double> query, key, value, context;  // [length][d]
  std::vector<size_t> kept;                        // [length][min(topk, length)] positions
  std::vector<double> weights;                     // of the kept positions
};

// One sequence, unchecked: x and y are [length][d], length >= 1, topk >= 1.
void AttentionForward(const AttentionMaps& maps, size_t topk, const double* x, size_t length,
                      AttentionTrace& trace, double* y);

// Given dL/dy of that sequence, adds to the gradients and to dx [length][d].
void AttentionBackward(const AttentionMaps& maps, const AttentionGradients& gradients,
                       const double* x, size_t length, const AttentionTrace& trace,
                       const double* dy, double* dx);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_ATTENTION_H_
