// The golden vectors through a whole pipeline: what a publisher is given equals the reference.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "server/pipeline/test_support.h"

namespace mfn::pipeline {
namespace {

using nlohmann::json;

json Vectors() {
  std::ifstream file(std::string(MFN_GOLDEN_DIR) + "/sim.json");
  return json::parse(file);
}

// Fits and powers are within 1e-9 of the reference, everything else equals it (numeric model,
// section 5).
bool IsExact(const std::string& feature) {
  static const std::set<std::string> kFitted = {"D_box", "D_r2", "V_skew", "V_kurt", "E_trend"};
  return kFitted.count(feature) == 0;
}

void ExpectFeatures(const json& got, const json& wanted, const std::string& which) {
  ASSERT_EQ(got.size(), wanted.size()) << which;
  for (const auto& [name, value] : wanted.items()) {
    const double expected = value.get<double>();
    if (IsExact(name)) {
      EXPECT_EQ(got.at(name).get<double>(), expected) << which << " " << name;
    } else {
      EXPECT_NEAR(got.at(name).get<double>(), expected, 1e-9 * (1 + std::abs(expected)))
          << which << " " << name;
    }
  }
}

TEST(Golden, ResultsOfAPipelineEqualTheReference) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  TestSink& sink = bench.AddSink("out");
  const json vectors = Vectors();
  ASSERT_FALSE(vectors["cases"].empty());
  std::map<std::string, const json*> wanted;
  for (const json& golden : vectors["cases"]) {
    json request = golden["config"];
    const std::string id = "case-" + std::to_string(wanted.size());
    request["request_id"] = id;
    if (request["seed"].is_null()) request.erase("seed");
    wanted[id] = &golden;
    bench.source->Feed(0, id, request.dump());
  }
  bench.source->End();
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; }));
  ASSERT_EQ(sink.durable().size(), wanted.size()) << "dead letters: " << bench.Letters().size();
  for (const TestSink::Written& written : sink.durable()) {
    const json result = json::parse(written.payload);
    const std::string id = result["request_id"];
    const json& expect = (*wanted.at(id))["expect"];
    ExpectFeatures(result["features"], expect["features_history"], id);
    EXPECT_EQ(result["growth_events"], expect["growth_events"]) << id;
    EXPECT_EQ(result["clamping_events"], std::to_string(expect["clamping_events"].get<int64_t>()));
    for (const char* name : {"field_min_v", "field_max_v", "field_mean_v", "field_std_v",
                             "activator_mean", "inhibitor_mean"}) {
      EXPECT_EQ(result["statistics"][name], expect[name]) << id << " " << name;
    }
    EXPECT_EQ(result["seed"], (*wanted.at(id))["config"]["seed"]) << id;
  }
  EXPECT_GT(bench.runner->Status().simulate_seconds, 0);
}

}  // namespace
}  // namespace mfn::pipeline
