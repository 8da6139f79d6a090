// Exponent and change rates: golden histories bit for bit, and what is refused.

#include "server/engine/math/stability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

struct GoldenHistory {
  std::vector<double> values;
  size_t frames;
  size_t cells;
};

GoldenHistory DrawHistory(const Json& c) {
  const auto shape = c.at("shape").get<std::vector<size_t>>();
  GoldenHistory history{{}, shape[0], shape[1] * shape[2]};
  history.values.resize(history.frames * history.cells);
  Generator generator = GoldenGenerator(c);
  generator.FillNormal(history.values, 0.0, ToDouble(c.at("scale")));
  for (const size_t frame : c.at("freeze_frames").get<std::vector<size_t>>()) {
    const auto begin = history.values.begin() + static_cast<ptrdiff_t>(frame * history.cells);
    std::copy_n(begin - static_cast<ptrdiff_t>(history.cells), history.cells, begin);
  }
  return history;
}

TEST(Stability, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("history_lyapunov")) {
    SCOPED_TRACE(c.dump());
    const GoldenHistory history = DrawHistory(c);
    const HistoryView view{history.values, history.frames, history.cells};
    const double dt = ToDouble(c.at("dt"));
    EXPECT_EQ(*HistoryLyapunov(view, dt), ToDouble(c.at("lyapunov")));
    const auto metrics = ComputeStabilityMetrics(view, dt);
    ASSERT_TRUE(metrics.ok());
    const Json& expected = c.at("metrics");
    EXPECT_EQ(metrics->lyapunov_exponent, ToDouble(expected.at("lyapunov_exponent")));
    EXPECT_EQ(metrics->is_stable, ToDouble(expected.at("is_stable")));
    EXPECT_EQ(metrics->mean_change_rate, ToDouble(expected.at("mean_change_rate")));
    EXPECT_EQ(metrics->max_change_rate, ToDouble(expected.at("max_change_rate")));
    EXPECT_EQ(metrics->final_std, ToDouble(expected.at("final_std")));
  }
}

TEST(Stability, EmptyHistoryIsAllZero) {
  const auto metrics = ComputeStabilityMetrics({});
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ(metrics->final_std, 0.0);
  EXPECT_EQ(metrics->is_stable, 0.0);
}

TEST(Stability, ThresholdIsStrict) {
  EXPECT_FALSE(IsStable(0.0));
  EXPECT_TRUE(IsStable(-1e-300));
  EXPECT_TRUE(IsStable(0.5, 1.0));
}

TEST(Stability, RefusesWrongSizesAndNumbers) {
  std::vector<double> values(8, 0.0);
  const auto field = [&values](size_t frames, size_t cells, double dt) {
    const auto result = ComputeStabilityMetrics({values, frames, cells}, dt);
    return result.ok() ? "ok" : result.error().field;
  };
  EXPECT_EQ(field(2, 4, 1.0), "ok");
  EXPECT_EQ(field(3, 4, 1.0), "history");
  EXPECT_EQ(field(0, 4, 1.0), "history");
  EXPECT_EQ(field(8, 0, 1.0), "history");
  EXPECT_EQ(field(size_t{1} << 63, 16, 1.0), "history");  // the product wraps to 0
  EXPECT_EQ(field(2, 4, 0.0), "dt");
  EXPECT_EQ(field(2, 4, std::numeric_limits<double>::infinity()), "dt");
  values[5] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(field(2, 4, 1.0), "history");
}

}  // namespace
}  // namespace mfn::engine
