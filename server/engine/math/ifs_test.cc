// Iterated function systems: golden points bit for bit, the validated variant and its limits.

#include "server/engine/math/ifs.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/engine/cancel_test_util.h"
#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

IfsOptions GoldenOptions(const Json& c) {
  IfsOptions options;
  Override(c, "num_points", options.num_points);
  Override(c, "num_transforms", options.num_transforms);
  return options;
}

FractalConfig GoldenConfig(const Json& c) {
  FractalConfig config;
  Override(c, "num_points", config.num_points);
  Override(c, "num_transforms", config.num_transforms);
  Override(c, "scale_min", config.scale_min);
  Override(c, "scale_max", config.scale_max);
  Override(c, "translation_range", config.translation_range);
  Override(c, "min_box_size", config.min_box_size);
  Override(c, "num_scales", config.num_scales);
  return config;
}

TEST(Ifs, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("ifs")) {
    SCOPED_TRACE(c.at("seed").dump());
    Generator generator = GoldenGenerator(c);
    const auto result = RunIfs(generator, GoldenOptions(c));
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->lyapunov_exponent, ToDouble(c.at("lyapunov_hex")));
    EXPECT_EQ(result->max_abs_coordinate, ToDouble(c.at("max_abs")));
    const std::vector<double> first = ToDoubles(c.at("first"));
    ExpectSameBits(std::span(result->points).first(first.size()), first);
    EXPECT_EQ(Sha256(result->points), c.at("sha256_points").get<std::string>());
    EXPECT_EQ(generator.Random(), ToDouble(c.at("rng_next_double")));
  }
}

TEST(Ifs, StopsWhenCancelled) {
  IfsOptions options;
  options.num_points = kMaxIfsPoints;
  options.num_transforms = kMaxIfsTransforms;
  ExpectStopsWhenCancelled([&](const CancelCheck& cancel) {
    Generator generator(uint64_t{7});
    return RunIfs(generator, options, cancel);
  });
}

TEST(Ifs, WithoutPointsEverythingElseIsEqual) {
  Generator with(uint64_t{7});
  Generator without(uint64_t{7});
  IfsOptions options;
  options.num_points = 100;
  const auto kept = RunIfs(with, options);
  options.keep_points = false;
  const auto dropped = RunIfs(without, options);
  EXPECT_EQ(kept->points.size(), 200u);
  EXPECT_TRUE(dropped->points.empty());
  EXPECT_EQ(kept->lyapunov_exponent, dropped->lyapunov_exponent);
  EXPECT_EQ(kept->max_abs_coordinate, dropped->max_abs_coordinate);
  EXPECT_EQ(with, without);
}

TEST(Ifs, RefusesWhatWouldBeEmptyOrHuge) {
  const auto field = [](int64_t points, int64_t transforms, double range) {
    Generator generator(uint64_t{1});
    IfsOptions options;
    options.num_points = points;
    options.num_transforms = transforms;
    options.translation_range = range;
    const auto result = RunIfs(generator, options);
    return result.ok() ? "ok" : result.error().field;
  };
  EXPECT_EQ(field(0, 4, 1.0), "num_points");
  EXPECT_EQ(field(kMaxIfsPoints + 1, 4, 1.0), "num_points");
  EXPECT_EQ(field(10, 0, 1.0), "num_transforms");
  EXPECT_EQ(field(10, kMaxIfsTransforms + 1, 1.0), "num_transforms");
  EXPECT_EQ(field(10, 4, std::numeric_limits<double>::quiet_NaN()), "translation_range");
  EXPECT_EQ(field(1, 1, 0.0), "ok");
}

TEST(Fractal, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("ifs_engine")) {
    SCOPED_TRACE(c.at("seed").dump());
    const auto result =
        RunFractal(GoldenConfig(c), Seed::FromDecimal(c.at("seed").get<std::string>()).value());
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->ifs.lyapunov_exponent, ToDouble(c.at("lyapunov")));
    EXPECT_EQ(result->max_point_distance, ToDouble(c.at("max_point_distance")));
    EXPECT_EQ(result->is_contractive, c.at("is_contractive").get<bool>());
    EXPECT_EQ(result->contraction_valid, c.at("contraction_valid").get<bool>());
    EXPECT_EQ(Sha256(result->ifs.points), c.at("sha256_points").get<std::string>());
  }
}

TEST(Fractal, MatchesGoldenErrors) {
  for (const Json& c : GoldenErrors("fractal_config")) {
    SCOPED_TRACE(c.dump());
    EXPECT_EQ(ErrorClass(ValidateFractalConfig(GoldenConfig(c.at("config")))),
              c.at("result").get<std::string>());
  }
}

TEST(Fractal, OverridesAreLimitedOnlyBySize) {
  const auto points = [](int64_t override_points) {
    return RunFractal({}, Seed(42), override_points);
  };
  EXPECT_EQ(points(0)->ifs.points.size(), 20000u);
  EXPECT_EQ(points(10)->ifs.points.size(), 20u);
  EXPECT_EQ(points(-1).error().field, "num_points");
  EXPECT_EQ(RunFractal({}, Seed(42), 10, 1)->ifs.transforms.size(), 1u);
}

}  // namespace
}  // namespace mfn::engine
