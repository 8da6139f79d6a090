// Forward and backward pass of sparse attention.

#include "server/engine/math/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

namespace mfn::engine {
namespace {

Expected<void> CheckMap(const char* name, const Affine& map, size_t dim) {
  if (map.in == dim && map.out == dim && map.weight.size() == dim * dim && map.bias.size() == dim) {
    return {};
  }
  return InvalidArgument("maps", std::string("the ") + name + " map must be " +
                                     std::to_string(dim) + " x " + std::to_string(dim) +
                                     " with a bias of that length");
}

Expected<void> CheckInput(const AttentionConfig& config, std::span<const double> x, size_t batch,
                          size_t length) {
  const size_t dim = static_cast<size_t>(config.embed_dim);
  if (batch == 0 || length == 0) {
    return InvalidArgument("x", "x is empty, needs at least one sequence of one position");
  }
  const bool fits = length <= kMaxAttentionLength && batch <= kMaxAttentionValues / length / dim;
  const uint64_t work = fits ? uint64_t{batch} * length * (4 * dim * dim + 2 * dim * length) : 0;
  if (!fits || work > kMaxAttentionWork) {
    Error error;
    error.kind = ErrorKind::kResourceExhausted;
    error.field = "x";
    error.message = std::to_string(batch) + " sequences of " + std::to_string(length) + " x " +
                    std::to_string(dim) + " are too much; split the batch or shorten the sequences";
    return error;
  }
  if (x.size() != batch * length * dim) {
    return InvalidArgument("x", "x has " + std::to_string(x.size()) + " values, must have " +
                                    std::to_string(batch * length * dim));
  }
  if (std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); })) return {};
  return InvalidArgument("x", "x has a value that is not finite");
}

// Moves the positions of the `count` largest scores to the front. NaN ranks below everything, so
// that the order stays a strict one.
void KeepLargest(std::span<const double> scores, size_t count, std::vector<size_t>& positions) {
  std::iota(positions.begin(), positions.end(), size_t{0});
  const auto rank = [scores](size_t k) {
    return std::isnan(scores[k]) ? -std::numeric_limits<double>::infinity() : scores[k];
  };
  std::partial_sort(
      positions.begin(), positions.begin() + static_cast<ptrdiff_t>(count), positions.end(),
      [rank](size_t a, size_t b) { return rank(a) != rank(b) ? rank(a) > rank(b) : a < b; });
  std::sort(positions.begin(), positions.begin() + static_cast<ptrdiff_t>(count));
}

// weights = softmax of the scores at the kept positions.
void Softmax(std::span<const double> scores, std::span<const size_t> kept,
             std::span<double> weights) {
  double largest = scores[kept[0]];
  for (const size_t k : kept) largest = std::max(largest, scores[k]);
  double sum = 0.0;
  for (size_t m = 0; m < kept.size(); ++m) {
    weights[m] = std::exp(scores[kept[m]] - largest);
    sum += weights[m];
  }
  for (double& weight : weights) {
    weight /= sum;
    if (std::isnan(weight)) weight = 0.0;
  }
}

double Dot(const double* a, const double* b, size_t n) {
  double sum = 0.0;
  for (size_t k = 0; k < n; ++k) sum += a[k] * b[k];
  return sum;
}

void AddScaled(double factor, const double* from, double* to, size_t n) {
  for (size_t k = 0; k < n; ++k) to[k] += factor * from[k];
}

void ApplyRows(const Affine& map, const double* x, size_t length, std::vector<double>& y) {
  y.resize(length * map.out);
  for (size_t i = 0; i < length; ++i) ApplyAffine(map, x + i * map.in, y.data() + i * map.out);
}

}  // namespace

Expected<void> ValidateAttentionConfig(const AttentionConfig& config) {
  if (config.embed_dim < 1 || config.embed_dim > kMaxAttentionDim) {
    return InvalidArgument("embed_dim", static_cast<double>(config.embed_dim), 1.0,
                           static_cast<double>(kMaxAttentionDim));
  }
  if (config.topk < 1) {
    return InvalidArgument("topk", static_cast<double>(config.topk), 1.0, std::nullopt);
  }
  if (config.num_heads != 1) {
    return InvalidArgument("num_heads", static_cast<double>(config.num_heads), 1.0, 1.0);
  }
  return {};
}

void AttentionForward(const AttentionMaps& maps, size_t topk, const double* x, size_t length,
                      AttentionTrace& trace, double* y) {
  const size_t dim = maps.query.out;
  const size_t count = std::min(topk, length);
  const double root = std::sqrt(static_cast<double>(dim));
  ApplyRows(maps.query, x, length, trace.query);
  ApplyRows(maps.key, x, length, trace.key);
  ApplyRows(maps.value, x, length, trace.value);
  trace.context.assign(length * dim, 0.0);
  trace.kept.resize(length * count);
  trace.weights.resize(length * count);
  std::vector<double> scores(length);
  std::vector<size_t> positions(length);
  for (size_t i = 0; i < length; ++i) {
    for (size_t j = 0; j < length; ++j) {
      scores[j] = Dot(trace.query.data() + i * dim, trace.key.data() + j * dim, dim) / root;
    }
    KeepLargest(scores, count, positions);
    std::copy_n(positions.begin(), count, trace.kept.begin() + static_cast<ptrdiff_t>(i * count));
    const std::span weights(trace.weights.data() + i * count, count);
    Softmax(scores, std::span(positions).first(count), weights);
    for (size_t m = 0; m < count; ++m) {
      AddScaled(weights[m], trace.value.data() + positions[m] * dim, trace.context.data() + i * dim,
                dim);
    }
    ApplyAffine(maps.output, trace.context.data() + i * dim, y + i * dim);
  }
}

void AttentionBackward(const AttentionMaps& maps, const AttentionGradients& gradients,
                       const double* x, size_t length, const AttentionTrace& trace,
                       const double* dy, double* dx) {
  const size_t dim = maps.query.out;
  const size_t count = trace.kept.size() / length;
  const double root = std::sqrt(static_cast<double>(dim));
  std::vector<double> d_query(length * dim, 0.0), d_key(length * dim, 0.0);
  std::vector<double> d_value(length * dim, 0.0), d_context(dim), d_weight(count);
  for (size_t i = 0; i < length; ++i) {
    std::fill(d_context.begin(), d_context.end(), 0.0);
    AffineBackward(maps.output, trace.context.data() + i * dim, dy + i * dim, gradients.output,
                   d_context.data());
    const size_t* kept = trace.kept.data() + i * count;
    const double* weights = trace.weights.data() + i * count;
    for (size_t m = 0; m < count; ++m) {
      d_weight[m] = Dot(d_context.data(), trace.value.data() + kept[m] * dim, dim);
      AddScaled(weights[m], d_context.data(), d_value.data() + kept[m] * dim, dim);
    }
    const double mean = Dot(weights, d_weight.data(), count);
    for (size_t m = 0; m < count; ++m) {
      const double d_score = weights[m] * (d_weight[m] - mean) / root;
      AddScaled(d_score, trace.key.data() + kept[m] * dim, d_query.data() + i * dim, dim);
      AddScaled(d_score, trace.query.data() + i * dim, d_key.data() + kept[m] * dim, dim);
    }
  }
  for (size_t i = 0; i < length; ++i) {
    const double* in = x + i * maps.query.in;
    double* out = dx + i * maps.query.in;
    AffineBackward(maps.query, in, d_query.data() + i * dim, gradients.query, out);
    AffineBackward(maps.key, in, d_key.data() + i * dim, gradients.key, out);
    AffineBackward(maps.value, in, d_value.data() + i * dim, gradients.value, out);
  }
}

Expected<std::vector<double>> SparseAttention(const AttentionConfig& config,
                                              const AttentionMaps& maps, std::span<const double> x,
                                              size_t batch, size_t length) {
  if (auto ok = ValidateAttentionConfig(config); !ok.ok()) return ok.error();
  const size_t dim = static_cast<size_t>(config.embed_dim);
  if (auto ok = CheckMap("query", maps.query, dim); !ok.ok()) return ok.error();
  if (auto ok = CheckMap("key", maps.key, dim); !ok.ok()) return ok.error();
  if (auto ok = CheckMap("value", maps.value, dim); !ok.ok()) return ok.error();
  if (auto ok = CheckMap("output", maps.output, dim); !ok.ok()) return ok.error();
  if (auto ok = CheckInput(config, x, batch, length); !ok.ok()) return ok.error();
  std::vector<double> y(x.size());
  AttentionTrace trace;
  const size_t stride = length * dim;
  for (size_t b = 0; b < batch; ++b) {
    AttentionForward(maps, static_cast<size_t>(config.topk), x.data() + b * stride, length, trace,
                     y.data() + b * stride);
  }
  return y;
}

}  // namespace mfn::engine
