// What is computed once at the end, at the largest size, ends soon when nobody wants it any more.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "server/engine/boxcount.h"
#include "server/engine/cancel_test_util.h"
#include "server/engine/features.h"
#include "server/engine/run.h"

namespace mfn::engine {
namespace {

constexpr int64_t kSide = 1024;

// Every other cell is above all thresholds: as many runs and clusters as there can be.
std::vector<double> Chequered() {
  std::vector<double> field(kSide * kSide);
  for (int64_t k = 0; k < kSide * kSide; ++k) {
    field[static_cast<size_t>(k)] = (k / kSide + k) % 2 == 0 ? -0.03 : -0.07;
  }
  return field;
}

FeatureConfig Dearest(int64_t connectivity) {
  FeatureConfig config;
  config.num_scales = kMaxBoxScales;
  config.max_box_size = kSide;
  config.connectivity = connectivity;
  return config;
}

TEST(Cancel, TheLastFeatures) {
  const std::vector<double> field = Chequered();
  for (const int64_t connectivity : {4, 8}) {
    auto accumulator = FeatureAccumulator::Create(kSide, Dearest(connectivity));
    ASSERT_TRUE(accumulator.ok());
    for (int k = 0; k < 2; ++k) ASSERT_TRUE(accumulator->AddFrame(field).ok());
    const auto before = accumulator->Finish(field);
    ExpectStopsWhenCancelled(
        [&](const CancelCheck& cancel) { return accumulator->Finish(field, cancel); });
    EXPECT_EQ(accumulator->Finish(field)->ToArray(), before->ToArray()) << "it may be asked again";
  }
}

TEST(Cancel, FeaturesOfOneFieldAndOfALongHistory) {
  const std::vector<double> field = Chequered();
  for (const int64_t side : {kSide, int64_t{4}}) {
    ExpectStopsWhenCancelled([&](const CancelCheck& cancel) {
      return ExtractFeatures(field, kSide * kSide / (side * side), side, Dearest(4), cancel);
    });
  }
}

TEST(Cancel, TheBoxDimension) {
  BinaryImage image;
  image.SetAbove(Chequered(), kSide, -0.06);
  ExpectStopsWhenCancelled([&](const CancelCheck& cancel) {
    return FeatureBoxDimension(image, {1, kSide, kMaxBoxScales}, cancel);
  });
}

TEST(Cancel, ARunInItsLastFeatures) {
  SimulationConfig config;
  config.grid_size = 64;
  config.steps = 3;
  config.seed = Seed(7);
  RunOptions options;
  options.features = FeatureConfig();
  CancelProbe never;
  options.cancel = never.check();
  ASSERT_TRUE(RunSimulation(config, options).ok());
  CancelProbe last(never.polls());
  options.cancel = last.check();
  const auto run = RunSimulation(config, options);
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().kind, ErrorKind::kCancelled);
}

}  // namespace
}  // namespace mfn::engine
