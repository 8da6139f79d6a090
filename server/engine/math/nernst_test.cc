// Nernst potential: golden vectors bit for bit, and the inputs that are refused.

#include "server/engine/math/nernst.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(Nernst, MatchesGoldenVectors) {
  for (const Json& c : GoldenMath("nernst")) {
    SCOPED_TRACE(c.dump());
    const auto volts = NernstPotential(c.at("z").get<int>(), ToDouble(c.at("c_out")),
                                       ToDouble(c.at("c_in")), ToDouble(c.at("temperature_k")));
    ASSERT_TRUE(volts.ok());
    EXPECT_EQ(*volts, ToDouble(c.at("volts_hex")));
    EXPECT_EQ(*volts * 1000.0, ToDouble(c.at("millivolts")));
  }
}

TEST(Nernst, ClampsSmallConcentrations) {
  EXPECT_EQ(*NernstPotential(1, 0.0, 0.1), *NernstPotential(1, 1e-6, 0.1));
  EXPECT_EQ(*NernstPotential(1, 0.1, -3.0), *NernstPotential(1, 0.1, 1e-6));
}

TEST(Nernst, NamesTheRefusedInput) {
  EXPECT_EQ(NernstPotential(0, 0.1, 0.1).error().field, "z");
  EXPECT_EQ(NernstPotential(1, kNan, 0.1).error().field, "c_out");
  EXPECT_EQ(NernstPotential(1, 0.1, kInf).error().field, "c_in");
  EXPECT_EQ(NernstPotential(1, 0.1, 0.2, kNan).error().field, "temperature_k");
  EXPECT_EQ(NernstPotential(0, 0.1, 0.1).error().kind, ErrorKind::kInvalidArgument);
}

TEST(Nernst, OverflowIsAnError) {
  const auto volts = NernstPotential(1, 0.1, 1.0, 1e308);
  ASSERT_FALSE(volts.ok());
  EXPECT_EQ(volts.error().kind, ErrorKind::kNumericalInstability);
}

}  // namespace
}  // namespace mfn::engine
