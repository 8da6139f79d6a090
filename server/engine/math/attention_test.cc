// Sparse attention: golden outputs, ties, the gradients against finite differences, and limits.

#include "server/engine/math/attention.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

// Owns the parameters of four d x d maps in one array: Wq, bq, Wk, bk, Wv, bv, Wo, bo.
struct Parameters {
  explicit Parameters(size_t d) : dim(d), values(4 * (d * d + d)) {}

  Affine Map(size_t index) const {
    const std::span all(values);
    const size_t offset = index * (dim * dim + dim);
    return {dim, dim, all.subspan(offset, dim * dim), all.subspan(offset + dim * dim, dim)};
  }
  AttentionMaps Maps() const { return {Map(0), Map(1), Map(2), Map(3)}; }

  AffineGradient Slot(size_t index) {
    const std::span all(values);
    const size_t offset = index * (dim * dim + dim);
    return {all.subspan(offset, dim * dim), all.subspan(offset + dim * dim, dim)};
  }
  AttentionGradients Slots() { return {Slot(0), Slot(1), Slot(2), Slot(3)}; }

  size_t dim;
  std::vector<double> values;
};

TEST(Attention, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("sparse_attention")) {
    SCOPED_TRACE(c.at("seed").dump());
    AttentionConfig config;
    Override(c, "embed_dim", config.embed_dim);
    Override(c, "topk", config.topk);
    const size_t batch = c.at("batch").get<size_t>();
    const size_t length = c.at("seq_len").get<size_t>();
    Generator generator = GoldenGenerator(c);
    Parameters parameters(static_cast<size_t>(config.embed_dim));
    generator.FillUniform(parameters.values, -1.0, 1.0);
    std::vector<double> x(batch * length * parameters.dim);
    generator.FillUniform(x, -1.0, 1.0);
    const auto y = SparseAttention(config, parameters.Maps(), x, batch, length);
    ASSERT_TRUE(y.ok());
    ExpectNear(*y, ToDoubles(c.at("output")), 1e-15, 1e-11);
  }
}

TEST(Attention, MatchesGoldenErrors) {
  for (const Json& c : GoldenErrors("attention_config")) {
    SCOPED_TRACE(c.dump());
    AttentionConfig config;
    Override(c.at("config"), "embed_dim", config.embed_dim);
    Override(c.at("config"), "topk", config.topk);
    Override(c.at("config"), "num_heads", config.num_heads);
    EXPECT_EQ(ErrorClass(ValidateAttentionConfig(config)), c.at("result").get<std::string>());
  }
}

TEST(Attention, TiesKeepTheLowestPosition) {
  Parameters parameters(1);
  parameters.Slot(2).weight[0] = 1.0;  // value = x, scores all 0
  parameters.Slot(3).weight[0] = 1.0;
  const std::vector<double> x = {5.0, 6.0, 7.0};
  const auto y = SparseAttention({1, 2, 1}, parameters.Maps(), x, 1, 3);
  ASSERT_TRUE(y.ok());
  EXPECT_EQ(*y, (std::vector<double>{5.5, 5.5, 5.5}));
}

TEST(Attention, GradientsMatchFiniteDifferences) {
  constexpr size_t kDim = 3, kLength = 5, kTopk = 2;
  Generator generator(uint64_t{9});
  Parameters parameters(kDim);
  generator.FillUniform(parameters.values, -1.0, 1.0);
  std::vector<double> x(kLength * kDim), pull(kLength * kDim);
  generator.FillUniform(x, -1.0, 1.0);
  generator.FillUniform(pull, -1.0, 1.0);
  // L = sum of pull * y, so that dL/dy = pull.
  const auto loss = [&] {
    AttentionTrace trace;
    std::vector<double> y(x.size());
    AttentionForward(parameters.Maps(), kTopk, x.data(), kLength, trace, y.data());
    double sum = 0.0;
    for (size_t k = 0; k < y.size(); ++k) sum += pull[k] * y[k];
    return sum;
  };
  AttentionTrace trace;
  std::vector<double> y(x.size()), dx(x.size(), 0.0);
  Parameters gradient(kDim);
  AttentionForward(parameters.Maps(), kTopk, x.data(), kLength, trace, y.data());
  AttentionBackward(parameters.Maps(), gradient.Slots(), x.data(), kLength, trace, pull.data(),
                    dx.data());
  const auto check = [&loss](double& variable, double expected) {
    const double saved = variable;
    variable = saved + 1e-6;
    const double above = loss();
    variable = saved - 1e-6;
    const double below = loss();
    variable = saved;
    EXPECT_NEAR((above - below) / 2e-6, expected, 1e-7);
  };
  for (size_t k = 0; k < x.size(); ++k) check(x[k], dx[k]);
  for (size_t k = 0; k < gradient.values.size(); ++k) {
    check(parameters.values[k], gradient.values[k]);
  }
}

TEST(Attention, RefusesHeadsItWouldIgnoreAndWrongShapes) {
  const Parameters parameters(2);
  const std::vector<double> x(8, 0.0);
  const auto field = [&](const AttentionConfig& config, size_t batch, size_t length) {
    const auto result = SparseAttention(config, parameters.Maps(), x, batch, length);
    return result.ok() ? "ok" : result.error().field;
  };
  EXPECT_EQ(field({2, 4, 1}, 2, 2), "ok");
  EXPECT_EQ(field({2, 4, 2}, 2, 2), "num_heads");
  EXPECT_EQ(field({3, 4, 1}, 2, 2), "maps");
  EXPECT_EQ(field({2, 4, 1}, 2, 3), "x");
  EXPECT_EQ(field({2, 4, 1}, 0, 2), "x");
  EXPECT_EQ(
      SparseAttention({2, 4, 1}, parameters.Maps(), x, 1, kMaxAttentionLength + 1).error().kind,
      ErrorKind::kResourceExhausted);
}

}  // namespace
}  // namespace mfn::engine
