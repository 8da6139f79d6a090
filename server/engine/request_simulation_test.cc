// The request-level simulator against its golden vectors, and its loose but finite checks.

#include "server/engine/request_simulation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/engine/golden_test_util.h"

namespace mfn::engine {
namespace {

using nlohmann::json;

RequestSimulationConfig ReadRequest(const json& c) {
  RequestSimulationConfig config;
  config.grid_size = c["grid_size"];
  config.steps = c["steps"];
  config.alpha = c["alpha"];
  config.spike_probability = c["spike_probability"];
  config.turing_enabled = c["turing_enabled"];
  config.turing_threshold = c["turing_threshold"];
  config.quantum_jitter = c["quantum_jitter"];
  config.jitter_var = c["jitter_var"];
  return config;
}

TEST(RequestSimulationTest, GoldenRequests) {
  for (const json& c : GoldenCases("request_sim.json")) {
    SCOPED_TRACE(c["name"].get<std::string>());
    Generator generator(GoldenSeed(c["config"]["seed"]));
    const auto result = RunRequestSimulation(ReadRequest(c["config"]), generator);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const json& expect = c["expect"];
    EXPECT_EQ(DigestOf(result->field), expect["sha256_field"]);
    EXPECT_EQ(generator.Random(), GoldenNumber(expect["rng_next_double"]));
    const auto reply = MakeRequestReply(*result);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->growth_events, expect["growth_events"]);
    EXPECT_EQ(reply->pot_min_mv, GoldenNumber(expect["pot_min_mV"]));
    EXPECT_EQ(reply->pot_max_mv, GoldenNumber(expect["pot_max_mV"]));
    EXPECT_EQ(reply->pot_mean_mv, GoldenNumber(expect["pot_mean_mV"]));
    EXPECT_EQ(reply->pot_std_mv, GoldenNumber(expect["pot_std_mV"]));
    EXPECT_NEAR(reply->fractal_dimension, GoldenNumber(expect["fractal_dimension"]), 1e-9);
  }
}

TEST(RequestSimulationTest, TwoRunsContinueOneStream) {
  RequestSimulationConfig config;
  config.grid_size = 16;
  config.steps = 5;
  Generator generator(1);
  const auto first = RunRequestSimulation(config, generator);
  const auto second = RunRequestSimulation(config, generator);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->field, second->field);
}

TEST(RequestSimulationTest, OneCellIsItsOwnNeighbour) {
  RequestSimulationConfig config;
  config.grid_size = 1;
  config.steps = 10;
  config.spike_probability = 0.0;
  Generator generator(1);
  const auto result = RunRequestSimulation(config, generator);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->field[0], Generator(1).Normal(-0.07, 0.005));
}

TEST(RequestSimulationTest, RefusesOnlyWhatCannotBeSimulated) {
  Generator generator(1);
  const auto field_of = [&generator](RequestSimulationConfig config) {
    const auto result = RunRequestSimulation(config, generator);
    return result.ok() ? std::string("ok") : result.error().field;
  };
  EXPECT_EQ(field_of({.grid_size = 4,
                      .steps = 0,
                      .alpha = -3.0,
                      .spike_probability = 9.0,
                      .turing_enabled = false,
                      .turing_threshold = -1.0,
                      .quantum_jitter = false,
                      .jitter_var = 1.0}),
            "ok");
  RequestSimulationConfig config;
  config.grid_size = 0;
  EXPECT_EQ(field_of(config), "grid_size");
  config.grid_size = 1025;
  EXPECT_EQ(field_of(config), "grid_size");
  config = {};
  config.steps = -1;
  EXPECT_EQ(field_of(config), "steps");
  config = {};
  config.alpha = std::nan("");
  EXPECT_EQ(field_of(config), "alpha");
  config = {};
  config.jitter_var = -1e-9;
  EXPECT_EQ(field_of(config), "jitter_var");
}

TEST(RequestSimulationTest, HttpLimitsAreInclusive) {
  RequestSimulationConfig config;
  config.grid_size = 256;
  config.steps = 1000;
  config.alpha = 1.0;
  config.spike_probability = 0.0;
  EXPECT_TRUE(CheckRequestLimits(config).ok());
  config.alpha = 1.01;
  EXPECT_EQ(CheckRequestLimits(config).error().field, "alpha");
  config.steps = 1001;
  EXPECT_EQ(CheckRequestLimits(config).error().field, "steps");
  config.grid_size = 7;
  EXPECT_EQ(CheckRequestLimits(config).error().field, "grid_size");
}

TEST(RequestSimulationTest, CancelStopsBeforeTheNextStep) {
  int polls = 0;
  Generator generator(1);
  const auto result = RunRequestSimulation({}, generator, [&polls] { return ++polls > 3; });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(result.error().step, 3);
}

}  // namespace
}  // namespace mfn::engine
