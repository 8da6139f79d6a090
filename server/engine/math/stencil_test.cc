// Laplacian, gradient and statistics: golden fields bit for bit, rectangles and limits.

#include "server/engine/math/stencil.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

TEST(Stencil, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("stencils")) {
    SCOPED_TRACE(c.at("boundary").dump());
    const std::vector<double> values = ToDoubles(c.at("field"));
    const size_t rows = c.at("field").size();
    const FieldView field{values, rows, values.size() / rows};
    const Boundary boundary = ParseBoundary(c.at("boundary").get<std::string>()).value();
    ExpectSameBits(*Laplacian(field, boundary), ToDoubles(c.at("laplacian")));
    const auto gradient = Gradient(field, boundary);
    ASSERT_TRUE(gradient.ok());
    ExpectSameBits(gradient->axis0, ToDoubles(c.at("grad_axis0")));
    ExpectSameBits(gradient->axis1, ToDoubles(c.at("grad_axis1")));
  }
}

TEST(Stencil, WorksOnRectangles) {
  const std::vector<double> values = {1.0, 2.0, 4.0, 8.0, 16.0, 32.0};
  const FieldView field{values, 2, 3};
  EXPECT_EQ((*Laplacian(field, Boundary::kDirichlet))[0], (8.0 + 2.0) - 4.0);
  // On a torus of two rows the neighbour above is the one below, too.
  EXPECT_EQ((*Laplacian(field, Boundary::kPeriodic))[0], (8.0 + 8.0 + 4.0 + 2.0) - 4.0);
  EXPECT_EQ((*Laplacian(field, Boundary::kNeumann))[5], (4.0 + 32.0 + 16.0 + 32.0) - 128.0);
  const auto gradient = Gradient(field, Boundary::kNeumann);
  EXPECT_EQ(gradient->axis0, (std::vector<double>{7.0, 14.0, 28.0, 7.0, 14.0, 28.0}));
  EXPECT_EQ(gradient->axis1, (std::vector<double>{1.0, 1.5, 2.0, 8.0, 12.0, 16.0}));
}

TEST(Stencil, OneCellIsItsOwnTorus) {
  const std::vector<double> values = {3.0};
  EXPECT_EQ((*Laplacian({values, 1, 1}, Boundary::kPeriodic))[0], 0.0);
  EXPECT_EQ((*Laplacian({values, 1, 1}, Boundary::kDirichlet))[0], -12.0);
  EXPECT_EQ(Gradient({values, 1, 1}, Boundary::kPeriodic)->axis0[0], 0.0);
  EXPECT_EQ(Gradient({values, 1, 1}, Boundary::kNeumann).error().field, "field");
}

TEST(Stencil, NonFiniteResultIsAnErrorUnlessUnchecked) {
  const std::vector<double> values = {0.0, std::numeric_limits<double>::infinity(), 0.0};
  const auto result = Laplacian({values, 1, 3}, Boundary::kNeumann);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kNumericalInstability);
  EXPECT_EQ(result.error().count, 1);  // inf - inf in the middle is NaN, reported before infinity
  EXPECT_TRUE(Laplacian({values, 1, 3}, Boundary::kNeumann, false).ok());
}

TEST(Stencil, NumbersCountWhatIsNotFinite) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> finite = {1.0, 3.0, 1.0, 3.0};
  const auto numbers = NumbersOf({finite, 2, 2});
  EXPECT_EQ(numbers->min, 1.0);
  EXPECT_EQ(numbers->max, 3.0);
  EXPECT_EQ(numbers->mean, 2.0);
  EXPECT_EQ(numbers->std, 1.0);
  EXPECT_EQ(numbers->finite_fraction, 1.0);
  const std::vector<double> mixed = {inf, 1.0, nan, -inf};
  const auto bad = NumbersOf({mixed, 2, 2});
  EXPECT_EQ(bad->nan_count, 1);
  EXPECT_EQ(bad->inf_count, 2);
  EXPECT_EQ(bad->finite_fraction, 0.25);
  EXPECT_TRUE(std::isnan(bad->min));
}

TEST(Stencil, RefusesWrongAndHugeSizes) {
  const std::vector<double> values(4, 0.0);
  EXPECT_EQ(CheckField({values, 2, 3}).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(CheckField({values, 0, 4}).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(CheckField({values, size_t{1} << 63, 2}).error().kind, ErrorKind::kResourceExhausted);
}

}  // namespace
}  // namespace mfn::engine
