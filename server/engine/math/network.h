// The small regression network of the validation cycle and its training step (numeric model,
// section 6.9): affine, sparse attention over the sequence, mean, three affine maps with ReLU
// between.

#ifndef MFN_SERVER_ENGINE_MATH_NETWORK_H_
#define MFN_SERVER_ENGINE_MATH_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "server/engine/error.h"
#include "server/engine/rng.h"

namespace mfn::engine {

inline constexpr int64_t kMaxNetworkInputDim = 512;
inline constexpr int64_t kMaxNetworkHiddenDim = 512;  // 13 MB of parameters, four such arrays
inline constexpr size_t kNetworkTopk = 4;
// Limits of one batch: positions, scores and multiply-adds.
inline constexpr size_t kMaxNetworkPositions = size_t{1} << 16;  // batch * length
inline constexpr size_t kMaxNetworkLength = 1024;
inline constexpr uint64_t kMaxNetworkWork = uint64_t{1} << 33;

struct NetworkShape {
  int64_t input_dim = 4;    // [1, kMaxNetworkInputDim]
  int64_t hidden_dim = 32;  // H, [2, kMaxNetworkHiddenDim]
};

// A batch of sequences, row-major, borrowed; length 1 for plain rows.
struct NetworkInput {
  std::span<const double> x;  // [batch][length][input_dim], finite
  size_t batch = 0;
  size_t length = 1;
};

// Owns its parameters and the state of the optimiser. Deterministic; not safe for use by two
// threads at once.
class Network {
 public:
  // One weight matrix [rows][columns], or a bias with one column.
  struct Block {
    std::string_view name;  // "input.weight", "query.weight", ... "head3.bias"
    size_t offset = 0;      // into parameters()
    size_t rows = 0;
    size_t columns = 0;
    bool is_bias = false;
    size_t fan_in = 0;  // inputs of the map that the block belongs to

    size_t size() const { return rows * columns; }
  };

  // All parameters 0. kInvalidArgument on "input_dim" or "hidden_dim".
  static Expected<Network> Create(const NetworkShape& shape);

  // In parameter order: input, query, key, value, output, three head maps; weight before bias.
  std::span<const Block> blocks() const { return blocks_; }
  // 5985 at the default shape. The caller may write them.
  std::span<double> parameters() { return parameters_; }
  std::span<const double> parameters() const { return parameters_; }

  // Draws every parameter as uniform(-1/sqrt(fan_in), 1/sqrt(fan_in)), in parameter order. The
  // distribution is the reference's, the stream is ours (there it is the training library's own).
  void Initialize(Generator& generator);

  // One number per sequence. kInvalidArgument on "x"; kResourceExhausted past the limits above.
  Expected<std::vector<double>> Forward(const NetworkInput& input) const;

  // One step of Adam (rate 1e-3, 0.9, 0.999, 1e-8) on the mean squared error to the targets, one
  // per sequence. Returns the loss before the update. Errors of Forward; kInvalidArgument on
  // "targets"; kNumericalInstability on "loss" if it is not finite, in which case nothing is
  // updated.
  Expected<double> TrainStep(const NetworkInput& input, std::span<const double> targets);

 private:
  struct Trace;
  struct Maps;
  struct Gradients;

  explicit Network(const NetworkShape& shape);
  void AddMap(std::string_view weight, std::string_view bias, size_t in, size_t out);
  Maps View() const;
  Gradients GradientView();
  Expected<void> Check(const NetworkInput& input) const;
  double ForwardOne(const Maps& maps, const double* x, size_t length, Trace& trace) const;
  void BackwardOne(const Maps& maps, const Gradients& gradients, const double* x, size_t length,
                   Trace& trace, double d_output) const;
  void Adam();

  size_t input_dim_;
  size_t hidden_dim_;
  std::vector<Block> blocks_;
  std::vector<double> parameters_, gradient_, moment1_, moment2_;
  int64_t adam_steps_ = 0;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_NETWORK_H_
