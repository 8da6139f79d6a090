// The network: golden outputs, losses and training, gradients through a sequence, and limits.

#include "server/engine/math/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

void DrawParameters(Network& network, Generator& generator) {
  for (const Network::Block& block : network.blocks()) {
    const double bound = block.is_bias ? 0.1 : 0.5;
    generator.FillUniform(network.parameters().subspan(block.offset, block.size()), -bound, bound);
  }
}

TEST(Network, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("network")) {
    SCOPED_TRACE(c.at("seed").dump());
    NetworkShape shape;
    Override(c, "input_dim", shape.input_dim);
    Override(c, "hidden_dim", shape.hidden_dim);
    auto network = Network::Create(shape);
    ASSERT_TRUE(network.ok());
    Generator generator = GoldenGenerator(c);
    DrawParameters(*network, generator);
    const auto x_shape = c.at("x_shape").get<std::vector<size_t>>();
    NetworkInput input;
    input.batch = x_shape[0];
    input.length = x_shape.size() == 3 ? x_shape[1] : 1;
    std::vector<double> x(input.batch * input.length * static_cast<size_t>(shape.input_dim));
    generator.FillUniform(x, -1.0, 1.0);
    input.x = x;
    std::vector<double> y(input.batch);
    generator.FillUniform(y, -1.0, 1.0);

    ExpectNear(*network->Forward(input), ToDoubles(c.at("output")), 0.0, 1e-9);
    std::vector<double> losses;
    for (int k = 0; k < c.at("adam_steps").get<int>(); ++k) {
      losses.push_back(*network->TrainStep(input, y));
    }
    ExpectNear(losses, ToDoubles(c.at("losses")), 0.0, 1e-9);
    ExpectNear(*network->Forward(input), ToDoubles(c.at("output_after")), 0.0, 1e-9);
  }
}

TEST(Network, BlocksFollowTheGoldenOrder) {
  for (const Json& c : GoldenMath("network")) {
    const auto network =
        Network::Create({c.at("input_dim").get<int64_t>(), c.at("hidden_dim").get<int64_t>()});
    const Json& expected = c.at("parameters_in_draw_order");
    ASSERT_EQ(network->blocks().size(), expected.size());
    size_t offset = 0;
    for (size_t k = 0; k < expected.size(); ++k) {
      const auto shape = expected[k][1].get<std::vector<size_t>>();
      const Network::Block& block = network->blocks()[k];
      EXPECT_EQ(block.rows, shape[0]);
      EXPECT_EQ(block.columns, shape.size() == 2 ? shape[1] : 1);
      EXPECT_EQ(block.offset, offset);
      offset += block.size();
    }
    EXPECT_EQ(network->parameters().size(), offset);
  }
}

TEST(Network, HasTheDocumentedSizeAndInitialBounds) {
  auto network = Network::Create({});
  ASSERT_TRUE(network.ok());
  EXPECT_EQ(network->parameters().size(), 5985u);
  Generator generator(uint64_t{1});
  network->Initialize(generator);
  const Network::Block& input = network->blocks()[0];
  double largest = 0.0;
  for (const double w : network->parameters().subspan(input.offset, input.size())) {
    largest = std::max(largest, std::fabs(w));
  }
  EXPECT_LE(largest, 0.5);  // 1 / sqrt(4)
  EXPECT_GT(largest, 0.4);
}

TEST(Network, RefusesBadShapesAndInputs) {
  EXPECT_EQ(Network::Create({0, 32}).error().field, "input_dim");
  EXPECT_EQ(Network::Create({4, 1}).error().field, "hidden_dim");
  EXPECT_EQ(Network::Create({4, kMaxNetworkHiddenDim + 1}).error().field, "hidden_dim");
  auto network = Network::Create({2, 2});
  std::vector<double> x = {1.0, 2.0};
  const std::vector<double> y = {1.0};
  EXPECT_EQ(network->Forward({x, 0, 1}).error().field, "x");
  EXPECT_EQ(network->Forward({x, 2, 1}).error().field, "x");
  EXPECT_EQ(network->Forward({x, 1, kMaxNetworkLength + 1}).error().kind,
            ErrorKind::kResourceExhausted);
  EXPECT_EQ(network->TrainStep({x, 1, 1}, {}).error().field, "targets");
  x[1] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(network->TrainStep({x, 1, 1}, y).error().field, "x");
}

TEST(Network, AnInfiniteLossChangesNothing) {
  auto network = Network::Create({1, 2});
  const std::vector<double> x = {1.0};
  const std::vector<double> y = {1e200};
  const auto loss = network->TrainStep({x, 1, 1}, y);
  ASSERT_FALSE(loss.ok());
  EXPECT_EQ(loss.error().kind, ErrorKind::kNumericalInstability);
  for (const double parameter : network->parameters()) EXPECT_EQ(parameter, 0.0);
}

}  // namespace
}  // namespace mfn::engine
