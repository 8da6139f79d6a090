// Membrane engine: golden integrations and Nernst arrays bit for bit, golden errors, and limits.

#include "server/engine/math/membrane.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/engine/math/golden_test_util.h"

namespace mfn::engine {
namespace {

MembraneConfig GoldenConfig(const Json& c) {
  MembraneConfig config;
  Override(c, "temperature_k", config.temperature_k);
  Override(c, "ion_clamp_min", config.ion_clamp_min);
  Override(c, "potential_min_v", config.potential_min_v);
  Override(c, "potential_max_v", config.potential_max_v);
  Override(c, "dt", config.dt);
  if (c.contains("scheme")) {
    config.scheme = ParseIntegrationScheme(c.at("scheme").get<std::string>()).value();
  }
  return config;
}

void ExpectStatistics(const PotentialStatistics& actual, const Json& expected) {
  EXPECT_EQ(actual.min, ToDouble(expected.at("min")));
  EXPECT_EQ(actual.max, ToDouble(expected.at("max")));
  EXPECT_EQ(actual.mean, ToDouble(expected.at("mean")));
  EXPECT_EQ(actual.std, ToDouble(expected.at("std")));
}

TEST(Membrane, IntegratesTheGoldenLeak) {
  for (const Json& c : GoldenMath("membrane_ode")) {
    SCOPED_TRACE(c.dump());
    const auto leak = LeakDerivative(ToDouble(c.at("rest")), ToDouble(c.at("tau")));
    ASSERT_TRUE(leak.ok());
    const auto result = IntegrateMembrane(GoldenConfig(c), ToDoubles(c.at("v0")), *leak,
                                          c.at("steps").get<int64_t>(), c.at("clamp").get<bool>());
    ASSERT_TRUE(result.ok());
    ExpectSameBits(result->v, ToDoubles(c.at("v")));
    ExpectStatistics(result->statistics, c);
    EXPECT_EQ(result->steps_computed, c.at("steps_computed").get<int64_t>());
    EXPECT_EQ(result->clamping_events, c.at("clamping_events").get<int64_t>());
  }
}

TEST(Membrane, MatchesGoldenNernstArrays) {
  for (const Json& c : GoldenMath("membrane_nernst_array")) {
    SCOPED_TRACE(c.dump());
    std::optional<double> temperature;
    if (!c.at("temperature_k").is_null()) temperature = ToDouble(c.at("temperature_k"));
    const auto result = MembraneNernstPotentials({}, c.at("z").get<int>(), ToDoubles(c.at("c_out")),
                                                 ToDoubles(c.at("c_in")), temperature);
    ASSERT_TRUE(result.ok());
    ExpectSameBits(result->volts, ToDoubles(c.at("volts")));
    EXPECT_EQ(result->clamping_events, c.at("clamping_events").get<int64_t>());
    ExpectStatistics(result->statistics, c);
  }
}

TEST(Membrane, MatchesGoldenErrors) {
  for (const Json& c : GoldenErrors("membrane_config")) {
    SCOPED_TRACE(c.dump());
    EXPECT_EQ(ErrorClass(ValidateMembraneConfig(GoldenConfig(c.at("config")))),
              c.at("result").get<std::string>());
  }
  for (const Json& c : GoldenErrors("membrane_nernst")) {
    SCOPED_TRACE(c.dump());
    const Json& input = c.at("config");
    EXPECT_EQ(
        ErrorClass(MembraneNernstPotential(
            {}, input.at("z").get<int>(), ToDouble(input.at("c_out")), ToDouble(input.at("c_in")))),
        c.at("result").get<std::string>());
  }
}

TEST(Membrane, CountsOneClampPerScalarPair) {
  const auto scalar = MembraneNernstPotential({}, 1, 0.0, 0.0);
  ASSERT_TRUE(scalar.ok());
  EXPECT_EQ(scalar->volts, 0.0);
  EXPECT_EQ(scalar->clamping_events, 1);
  EXPECT_EQ(MembraneNernstPotential({}, 1, 0.1, 0.2)->clamping_events, 0);
}

TEST(Membrane, ReportsTheStepThatDiverged) {
  const MembraneDerivative explode = [](std::span<const double> v, std::span<double> out) {
    for (size_t i = 0; i < v.size(); ++i) out[i] = v[i] * 1e300;
  };
  const std::vector<double> v0 = {1.0, 0.0};
  const auto result = IntegrateMembrane({}, v0, explode, 10, false);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kNumericalInstability);
  EXPECT_EQ(result.error().step, 1);
  EXPECT_EQ(result.error().count, 1);
  EXPECT_TRUE(IntegrateMembrane({}, v0, explode, 10, true).ok());
}

TEST(Membrane, ZeroStepsReturnTheStartUnclamped) {
  const std::vector<double> v0 = {0.5, -0.5};
  const auto result = IntegrateMembrane({}, v0, *LeakDerivative(0.0, 1.0), 0);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->v, v0);
  EXPECT_EQ(result->statistics.max, 0.5);
}

TEST(Membrane, RefusesBadSizesAndNames) {
  const MembraneDerivative leak = *LeakDerivative(0.0, 1.0);
  const std::vector<double> v0 = {0.0};
  EXPECT_EQ(IntegrateMembrane({}, {}, leak, 1).error().field, "v0");
  EXPECT_EQ(IntegrateMembrane({}, v0, leak, -1).error().field, "steps");
  EXPECT_EQ(IntegrateMembrane({}, v0, leak, int64_t{1} << 31).error().kind,
            ErrorKind::kResourceExhausted);
  EXPECT_EQ(MembraneNernstPotentials({}, 1, v0, {}).error().field, "c_in");
  EXPECT_EQ(LeakDerivative(0.0, 0.0).error().field, "tau");
  EXPECT_EQ(ParseIntegrationScheme("heun").error().field, "scheme");
  EXPECT_EQ(NamedDerivative("sodium", {}).error().field, "derivative");
}

TEST(Membrane, NamedDerivativesDoWhatTheySay) {
  DerivativeParams params;
  params.rate = 2.0;
  const std::vector<double> v = {0.1};
  std::vector<double> out = {0.0};
  (*NamedDerivative("constant", params))(v, out);
  EXPECT_EQ(out[0], 2.0);
  (*NamedDerivative("leak", params))(v, out);
  EXPECT_EQ(out[0], (-0.065 - 0.1) / 0.010);
}

TEST(Membrane, RangeTestIsInclusive) {
  const std::vector<double> edge = {-0.150, 0.150};
  const std::vector<double> strict_edge = {-0.095, 0.040};
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  EXPECT_TRUE(PotentialsInRange({}, edge));
  EXPECT_FALSE(PotentialsInRange({}, edge, true));
  EXPECT_TRUE(PotentialsInRange({}, strict_edge, true));
  EXPECT_FALSE(PotentialsInRange({}, nan));
}

}  // namespace
}  // namespace mfn::engine
