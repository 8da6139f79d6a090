// Box sizes, counts and fits against the golden tables, and the differences of the three variants.

#include "server/engine/boxcount.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "server/engine/clusters.h"
#include "server/engine/golden_test_util.h"
#include "server/engine/rng.h"

namespace mfn::engine {
namespace {

using nlohmann::json;

BoxSizeRule RuleOf(int64_t min, int64_t scales, std::optional<int64_t> max = std::nullopt) {
  return {min, max, scales};
}

TEST(BoxSizesTest, GoldenTables) {
  const json golden = LoadGolden("box_sizes.json");
  for (int64_t scales : {5, 8}) {
    for (const json& row : golden["auto_min2_scales" + std::to_string(scales)]) {
      EXPECT_EQ(*BoxSizes(RuleOf(2, scales), row["n"]), row["sizes"].get<std::vector<int64_t>>())
          << row;
    }
  }
  for (const json& row : golden["explicit"]) {
    const auto sizes = BoxSizes(RuleOf(row["min"], row["scales"], row["max"].get<int64_t>()), 1024);
    EXPECT_EQ(*sizes, row["sizes"].get<std::vector<int64_t>>()) << row;
  }
}

TEST(BoxSizesTest, EveryLargeGridHasTheSameDefaultSizes) {
  for (int64_t n : {64, 65, 100, 1000, 1024}) {
    EXPECT_EQ(*BoxSizes({}, n), (std::vector<int64_t>{2, 4, 7, 16, 32})) << n;
  }
}

TEST(BoxSizesTest, ExtremeRulesNeitherOverflowNorRunForEver) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(BoxSizes(RuleOf(1, 1024), 64)->back(), 32);
  EXPECT_GT(BoxSizes(RuleOf(kHuge, 5), 64)->front(), 1024);
  EXPECT_GT(BoxSizes(RuleOf(1, 5, kHuge), 64)->back(), 1024);
  EXPECT_EQ(*BoxSizes(RuleOf(4, 5, -3), 64), std::vector<int64_t>{4});
  EXPECT_EQ(BoxSizes(RuleOf(1, kHuge), 64).error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(BoxSizes(RuleOf(0, 5), 64).error().field, "min_box_size");
  EXPECT_EQ(BoxSizes(RuleOf(1, 0), 64).error().field, "num_scales");
}

TEST(BoxCountTest, GoldenImages) {
  for (const json& c : GoldenCases("math.json", "box_count")) {
    SCOPED_TRACE(c.dump());
    const int64_t n = c["n"];
    std::vector<double> values(static_cast<size_t>(n * n));
    Generator(GoldenSeed(c["seed"])).FillRandom(values);
    const std::vector<uint8_t> cells =
        ActiveCells(values, GoldenNumber(c["active_if_random_above"]));
    EXPECT_EQ(std::count(cells.begin(), cells.end(), 1), c["active"].get<int64_t>());
    BoxSizeRule rule = RuleOf(c["min_box_size"], c["num_scales"]);
    if (!c["max_box_size"].is_null()) rule.max_box_size = c["max_box_size"].get<int64_t>();
    const auto counts = CountBoxes({cells, n}, *BoxSizes(rule, n));
    ASSERT_EQ(counts.size(), c["sizes"].size());
    for (size_t k = 0; k < counts.size(); ++k) {
      EXPECT_EQ(counts[k].size, c["sizes"][k].get<int64_t>());
      EXPECT_EQ(counts[k].count, c["counts"][k].get<int64_t>());
    }
    EXPECT_NEAR(*ModelBoxDimension({cells, n}, rule), GoldenNumber(c["dimension_model"]), 1e-9);
    const auto feature = FeatureBoxDimension({cells, n}, rule);
    EXPECT_NEAR(feature->dimension, GoldenNumber(c["dimension_feature"]), 1e-9);
    EXPECT_NEAR(feature->r2, GoldenNumber(c["r2"]), 1e-9);
    EXPECT_NEAR(EngineBoxDimension({cells, n}, rule)->dimension, feature->dimension, 1e-15);
  }
}

TEST(BoxCountTest, ValidationDiffersBetweenTheVariants) {
  const std::vector<uint8_t> cells(64 * 64, 1);
  const BinaryImage image = {cells, 64};
  EXPECT_EQ(FeatureBoxDimension(image, RuleOf(2, 1)).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(*ModelBoxDimension(image, RuleOf(2, 1)), 0.0);
  EXPECT_EQ(ModelBoxDimension(image, RuleOf(2, 0)).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(ModelBoxDimension(image, RuleOf(0, 5)).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(EngineBoxDimension(image, RuleOf(2, 2)).error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(EngineBoxDimension(image, RuleOf(0, 5)).error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(EngineBoxDimension(image, RuleOf(2, 3), 1)->dimension, 0.0);
  EXPECT_TRUE(ModelBoxDimension(image, RuleOf(2, 5, 1000)).ok());
  EXPECT_FALSE(ModelBoxDimension({cells, 63}).ok());
}

TEST(BoxCountTest, EqualCountsHaveNoDimensionAndNoR2) {
  const BoxCount counts[] = {{2, 54}, {4, 54}, {8, 54}, {16, 0}};
  const BoxFit fit = FitBoxCounts(counts);
  EXPECT_EQ(fit.dimension, 0.0);
  EXPECT_EQ(fit.r2, 0.0);
}

TEST(ClustersTest, SizesComeInOrderOfTheirFirstCells) {
  const std::vector<uint8_t> cells = {0, 1, 0, 1,  //
                                      0, 0, 1, 0,  //
                                      1, 0, 0, 0,  //
                                      1, 1, 0, 1};
  EXPECT_EQ(ClusterSizes({cells, 4}, Connectivity::kFour), (std::vector<int64_t>{1, 1, 1, 3, 1}));
  EXPECT_EQ(ClusterSizes({cells, 4}, Connectivity::kEight), (std::vector<int64_t>{3, 3, 1}));
}

TEST(ClustersTest, BordersDoNotWrapAndDepthDoesNotMatter) {
  const std::vector<uint8_t> corners = {1, 0, 1, 0, 0, 0, 1, 0, 1};
  EXPECT_EQ(ClusterSizes({corners, 3}, Connectivity::kEight), (std::vector<int64_t>{1, 1, 1, 1}));
  const std::vector<uint8_t> full(1024 * 1024, 1);
  EXPECT_EQ(ClusterSizes({full, 1024}, Connectivity::kFour), (std::vector<int64_t>{1024 * 1024}));
}

}  // namespace
}  // namespace mfn::engine
