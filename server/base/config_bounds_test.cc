// The published schema has the bounds that the code has.

#include "server/base/config_bounds.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

namespace mfn {
namespace {

using nlohmann::json;

TEST(ConfigBounds, AreThoseOfTheSchema) {
  using namespace config_bounds;  // NOLINT: the test is about all of them
  const json schema = json::parse(std::ifstream(MFN_DEPLOY_DIR "/config.schema.json"));
  const json& parts = schema.at("definitions");
  const std::string pipeline = "/pipeline/properties";
  const std::string in_flight = pipeline + "/max_in_flight/properties";
  const std::string sinks = pipeline + "/sinks";
  const std::string queue = sinks + "/items/anyOf/1/properties/queue/properties";
  const std::string breaker = "/circuit_breaker/properties";
  const struct {
    std::string place;
    std::variant<IntBounds, RealBounds> bounds;
  } cases[] = {
      {"/timeout_ms", kTimeoutMs},
      {"/retry_policy/properties/max_retries", kMaxRetries},
      {"/base_ms", kInitialDelayMs},
      {"/max_delay_ms", kMaxDelayMs},
      {"/multiplier", kMultiplier},
      {"/retry_policy/properties/budget", kRetryBudget},
      {"/threshold", kBreakerThreshold},
      {breaker + "/timeout_ms", kBreakerTimeoutMs},
      {breaker + "/max_timeout_ms", kBreakerTimeoutMs},
      {breaker + "/failure_ratio", kFailureRatio},
      {breaker + "/ratio_window_ms", kRatioWindowMs},
      {breaker + "/ratio_min_calls", kRatioMinCalls},
      {breaker + "/successes_to_close", kSuccessesToClose},
      {"/instance_rate_limit/properties/per_second", kCallsPerSecond},
      {"/instance_rate_limit/properties/burst", kCallBurst},
      {"/max_concurrent_calls", kConcurrentCalls},
      {"/publisher/properties/batch_size", kBatchSize},
      {"/publisher/properties/batch_timeout_ms", kBatchTimeoutMs},
      {queue + "/records", kQueueRecords},
      {queue + "/bytes", kQueueBytes},
      {pipeline + "/workers", kWorkers},
      {in_flight + "/records", kInFlightRecords},
      {in_flight + "/bytes", kInFlightBytes},
      {in_flight + "/cost", kInFlightCost},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.place);
    const json& setting = parts.at(json::json_pointer(one.place));
    std::visit(
        [&](const auto& bounds) {
          EXPECT_EQ(setting.at("minimum").get<double>(), static_cast<double>(bounds.low));
          EXPECT_EQ(setting.at("maximum").get<double>(), static_cast<double>(bounds.high));
        },
        one.bounds);
  }
  const json& list = parts.at(json::json_pointer(sinks));
  EXPECT_EQ(list.at("minItems"), kSinks.low);
  EXPECT_EQ(list.at("maxItems"), kSinks.high);
}

}  // namespace
}  // namespace mfn
