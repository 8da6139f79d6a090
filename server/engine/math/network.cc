// Forward pass, backward pass and Adam, one sequence at a time.

#include "server/engine/math/network.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "server/engine/math/affine.h"
#include "server/engine/math/attention.h"

namespace mfn::engine {
namespace {

constexpr double kLearningRate = 1e-3;
constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;

Expected<void> CheckDim(const char* field, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return {};
  return InvalidArgument(field, static_cast<double>(value), static_cast<double>(min),
                         static_cast<double>(max));
}

void Relu(std::span<const double> in, std::vector<double>& out) {
  out.resize(in.size());
  std::transform(in.begin(), in.end(), out.begin(), [](double v) { return v > 0.0 ? v : 0.0; });
}

// Zeroes the gradient where the unit was off.
void ReluBackward(std::span<const double> before, std::vector<double>& gradient) {
  for (size_t k = 0; k < before.size(); ++k) {
    if (!(before[k] > 0.0)) gradient[k] = 0.0;
  }
}

}  // namespace

struct Network::Maps {
  Affine input;
  AttentionMaps attention;
  Affine head1, head2, head3;
};

struct Network::Gradients {
  AffineGradient input;
  AttentionGradients attention;
  AffineGradient head1, head2, head3;
};

// Activations of one sequence; the vectors are reused from sequence to sequence.
struct Network::Trace {
  std::vector<double> projected, attended;  // [length][H]
  AttentionTrace attention;
  std::vector<double> mean;           // [H]
  std::vector<double> sum1, active1;  // [H]: before and after ReLU
  std::vector<double> sum2, active2;  // [H / 2]
};

Network::Network(const NetworkShape& shape)
    : input_dim_(static_cast<size_t>(shape.input_dim)),
      hidden_dim_(static_cast<size_t>(shape.hidden_dim)) {
  const size_t half = hidden_dim_ / 2;
  AddMap("input.weight", "input.bias", input_dim_, hidden_dim_);
  AddMap("query.weight", "query.bias", hidden_dim_, hidden_dim_);
  AddMap("key.weight", "key.bias", hidden_dim_, hidden_dim_);
  AddMap("value.weight", "value.bias", hidden_dim_, hidden_dim_);
  AddMap("output.weight", "output.bias", hidden_dim_, hidden_dim_);
  AddMap("head1.weight", "head1.bias", hidden_dim_, hidden_dim_);
  AddMap("head2.weight", "head2.bias", hidden_dim_, half);
  AddMap("head3.weight", "head3.bias", half, 1);
  const size_t count = blocks_.back().offset + blocks_.back().size();
  for (auto* array : {&parameters_, &gradient_, &moment1_, &moment2_}) array->assign(count, 0.0);
}

void Network::AddMap(std::string_view weight, std::string_view bias, size_t in, size_t out) {
  const size_t offset = blocks_.empty() ? 0 : blocks_.back().offset + blocks_.back().size();
  blocks_.push_back({weight, offset, out, in, false, in});
  blocks_.push_back({bias, offset + out * in, out, 1, true, in});
}

Expected<Network> Network::Create(const NetworkShape& shape) {
  if (auto ok = CheckDim("input_dim", shape.input_dim, 1, kMaxNetworkInputDim); !ok.ok()) {
    return ok.error();
  }
  // Half of it, rounded down, is the width of a layer.
  if (auto ok = CheckDim("hidden_dim", shape.hidden_dim, 2, kMaxNetworkHiddenDim); !ok.ok()) {
    return ok.error();
  }
  return Network(shape);
}

Network::Maps Network::View() const {
  const auto map = [this](size_t index) {
    const Block& weight = blocks_[2 * index];
    const std::span all(parameters_);
    return Affine{weight.columns, weight.rows, all.subspan(weight.offset, weight.size()),
                  all.subspan(weight.offset + weight.size(), weight.rows)};
  };
  return {map(0), {map(1), map(2), map(3), map(4)}, map(5), map(6), map(7)};
}

Network::Gradients Network::GradientView() {
  const auto map = [this](size_t index) {
    const Block& weight = blocks_[2 * index];
    const std::span all(gradient_);
    return AffineGradient{all.subspan(weight.offset, weight.size()),
                          all.subspan(weight.offset + weight.size(), weight.rows)};
  };
  return {map(0), {map(1), map(2), map(3), map(4)}, map(5), map(6), map(7)};
}

void Network::Initialize(Generator& generator) {
  for (const Block& block : blocks_) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(block.fan_in));
    generator.FillUniform(std::span(parameters_).subspan(block.offset, block.size()), -bound,
                          bound);
  }
}

Expected<void> Network::Check(const NetworkInput& input) const {
  if (input.batch == 0 || input.length == 0) {
    return InvalidArgument("x", "x is empty, needs at least one sequence of one position");
  }
  const uint64_t hidden = hidden_dim_;
  const bool fits =
      input.length <= kMaxNetworkLength && input.batch <= kMaxNetworkPositions / input.length;
  const uint64_t per_position = hidden * (input_dim_ + 6 * hidden + 2 * input.length);
  if (!fits || input.batch * input.length > kMaxNetworkWork / per_position) {
    Error error;
    error.kind = ErrorKind::kResourceExhausted;
    error.field = "x";
    error.message = "a batch of " + std::to_string(input.batch) + " sequences of length " +
                    std::to_string(input.length) + " is too much; use a smaller batch";
    return error;
  }
  const size_t expected = input.batch * input.length * input_dim_;
  if (input.x.size() != expected) {
    return InvalidArgument("x", "x has " + std::to_string(input.x.size()) + " values, must have " +
                                    std::to_string(expected));
  }
  if (std::all_of(input.x.begin(), input.x.end(), [](double v) { return std::isfinite(v); })) {
    return {};
  }
  return InvalidArgument("x", "x has a value that is not finite");
}

double Network::ForwardOne(const Maps& maps, const double* x, size_t length, Trace& trace) const {
  const size_t hidden = hidden_dim_;
  trace.projected.resize(length * hidden);
  trace.attended.resize(length * hidden);
  for (size_t l = 0; l < length; ++l) {
    ApplyAffine(maps.input, x + l * input_dim_, trace.projected.data() + l * hidden);
  }
  AttentionForward(maps.attention, kNetworkTopk, trace.projected.data(), length, trace.attention,
                   trace.attended.data());
  trace.mean.assign(hidden, 0.0);
  for (size_t l = 0; l < length; ++l) {
    for (size_t k = 0; k < hidden; ++k) trace.mean[k] += trace.attended[l * hidden + k];
  }
  for (double& value : trace.mean) value /= static_cast<double>(length);
  trace.sum1.resize(maps.head1.out);
  ApplyAffine(maps.head1, trace.mean.data(), trace.sum1.data());
  Relu(trace.sum1, trace.active1);
  trace.sum2.resize(maps.head2.out);
  ApplyAffine(maps.head2, trace.active1.data(), trace.sum2.data());
  Relu(trace.sum2, trace.active2);
  double output = 0.0;
  ApplyAffine(maps.head3, trace.active2.data(), &output);
  return output;
}

void Network::BackwardOne(const Maps& maps, const Gradients& gradients, const double* x,
                          size_t length, Trace& trace, double d_output) const {
  const size_t hidden = hidden_dim_;
  std::vector<double> d_active2(maps.head2.out, 0.0);
  AffineBackward(maps.head3, trace.active2.data(), &d_output, gradients.head3, d_active2.data());
  ReluBackward(trace.sum2, d_active2);
  std::vector<double> d_active1(maps.head1.out, 0.0);
  AffineBackward(maps.head2, trace.active1.data(), d_active2.data(), gradients.head2,
                 d_active1.data());
  ReluBackward(trace.sum1, d_active1);
  std::vector<double> d_mean(hidden, 0.0);
  AffineBackward(maps.head1, trace.mean.data(), d_active1.data(), gradients.head1, d_mean.data());

  std::vector<double> d_attended(length * hidden);
  for (size_t k = 0; k < d_attended.size(); ++k) {
    d_attended[k] = d_mean[k % hidden] / static_cast<double>(length);
  }
  std::vector<double> d_projected(length * hidden, 0.0);
  AttentionBackward(maps.attention, gradients.attention, trace.projected.data(), length,
                    trace.attention, d_attended.data(), d_projected.data());
  for (size_t l = 0; l < length; ++l) {
    AffineBackward(maps.input, x + l * input_dim_, d_projected.data() + l * hidden, gradients.input,
                   nullptr);
  }
}

Expected<std::vector<double>> Network::Forward(const NetworkInput& input) const {
  if (auto ok = Check(input); !ok.ok()) return ok.error();
  const Maps maps = View();
  Trace trace;
  std::vector<double> output(input.batch);
  const size_t stride = input.length * input_dim_;
  for (size_t b = 0; b < input.batch; ++b) {
    output[b] = ForwardOne(maps, input.x.data() + b * stride, input.length, trace);
  }
  return output;
}

Expected<double> Network::TrainStep(const NetworkInput& input, std::span<const double> targets) {
  if (auto ok = Check(input); !ok.ok()) return ok.error();
  if (targets.size() != input.batch) {
    return InvalidArgument("targets", "targets has " + std::to_string(targets.size()) +
                                          " values, must have one per sequence, " +
                                          std::to_string(input.batch));
  }
  std::fill(gradient_.begin(), gradient_.end(), 0.0);
  const Maps maps = View();
  const Gradients gradients = GradientView();
  Trace trace;
  double loss = 0.0;
  const double batch = static_cast<double>(input.batch);
  const size_t stride = input.length * input_dim_;
  for (size_t b = 0; b < input.batch; ++b) {
    const double* x = input.x.data() + b * stride;
    const double error = ForwardOne(maps, x, input.length, trace) - targets[b];
    loss += error * error;
    BackwardOne(maps, gradients, x, input.length, trace, 2.0 * error / batch);
  }
  loss /= batch;
  if (!std::isfinite(loss)) {
    Error error;
    error.kind = ErrorKind::kNumericalInstability;
    error.field = "loss";
    error.message = "the loss is " + FormatDouble(loss) + "; use smaller inputs or targets";
    return error;
  }
  Adam();
  return loss;
}

void Network::Adam() {
  ++adam_steps_;
  const double t = static_cast<double>(adam_steps_);
  const double correction1 = 1.0 - std::pow(kBeta1, t);
  const double correction2 = std::sqrt(1.0 - std::pow(kBeta2, t));
  for (size_t k = 0; k < parameters_.size(); ++k) {
    const double g = gradient_[k];
    moment1_[k] = kBeta1 * moment1_[k] + (1.0 - kBeta1) * g;
    moment2_[k] = kBeta2 * moment2_[k] + (1.0 - kBeta2) * (g * g);
    const double scale = std::sqrt(moment2_[k]) / correction2 + kEpsilon;
    parameters_[k] -= kLearningRate * (moment1_[k] / correction1) / scale;
  }
}

}  // namespace mfn::engine
