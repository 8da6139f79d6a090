// Kinetics and presets: what a request may say, what comes back, and that it can be run again.

#include "server/pipeline/kinetics_proto.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "server/engine/presets.h"
#include "server/engine/stability.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/json_reader.h"

namespace mfn::pipeline {
namespace {

using google::protobuf::util::MessageDifferencer;
using mfn::v1::SimulationRequest;
using mfn::v1::SimulationResult;

SimulationRequest Parse(const std::string& json) {
  SimulationRequest request;
  std::vector<std::string> warnings;
  const absl::Status status = ParseRequest(json, &request, &warnings);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  return request;
}

// "field: message" of what is wrong with a request.
std::string Refusal(const std::string& json) {
  SimulationRequest request;
  std::vector<std::string> warnings;
  absl::Status status = ParseRequest(json, &request, &warnings);
  if (status.ok()) status = FromProto(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
  return FieldOf(status) + ": " + std::string(status.message());
}

SimulationJob Job(const std::string& json) {
  auto job = FromProto(Parse(json));
  EXPECT_TRUE(job.ok()) << job.status();
  return job.ok() ? *job : SimulationJob{};
}

SimulationResult ResultOf(const SimulationRequest& request) {
  SimulationResult result;
  auto job = FromProto(request);
  EXPECT_TRUE(job.ok()) << job.status();
  if (!job.ok()) return result;
  auto run = RunJob(*job, OptionsOf(*job), &result);
  EXPECT_TRUE(run.ok()) << run.status();
  return result;
}

TEST(KineticsProtoTest, AbsentIsTheReferencesChemistry) {
  for (const char* json : {R"({"seed": 1})", R"({"kinetics": {}})"}) {
    const SimulationJob job = Job(json);
    EXPECT_TRUE(std::holds_alternative<engine::Mfn>(job.config.kinetics));
    EXPECT_EQ(job.config.turing_threshold, 0.75);
    EXPECT_EQ(job.config.time_step, 1.0);
    EXPECT_EQ(job.config.grid_size, 64);
  }
}

TEST(KineticsProtoTest, GivenParametersReplaceDefaults) {
  const SimulationJob job =
      Job(R"({"kinetics": {"schnakenberg": {"gamma": 2, "d_inhibitor": 30}}, "time_step": 0.005})");
  EXPECT_EQ(std::get<engine::Schnakenberg>(job.config.kinetics),
            (engine::Schnakenberg{.d_inhibitor = 30, .gamma = 2}));
  EXPECT_EQ(job.config.time_step, 0.005);
  EXPECT_EQ(job.config.turing_threshold, 1.5);
  EXPECT_EQ(job.config.grid_size, 64);
}

TEST(KineticsProtoTest, WhatIsGivenBesidesAPresetWins) {
  const SimulationJob job = Job(
      R"({"pattern_preset": "gray_scott_coral", "kinetics": {"gray_scott": {"kill": 0.063}},
          "steps": 500, "turing_threshold": 0.3})");
  EXPECT_EQ(std::get<engine::GrayScott>(job.config.kinetics),
            (engine::GrayScott{.feed = 0.0545, .kill = 0.063}));
  EXPECT_EQ(job.config.steps, 500);
  EXPECT_EQ(job.config.grid_size, 128);
  EXPECT_EQ(job.config.turing_threshold, 0.3);
  const SimulationJob mfn = Job(R"({"pattern_preset": "mfn_spots", "r_activator": 0.05})");
  EXPECT_EQ(mfn.config.r_activator, 0.05);
  EXPECT_EQ(mfn.config.r_inhibitor, 0.1);
  EXPECT_EQ(mfn.config.d_inhibitor, 0.22);
}

TEST(KineticsProtoTest, EveryPresetCanBeAskedForByItsName) {
  for (const engine::Preset& preset : engine::Presets()) {
    SimulationRequest request;
    request.set_pattern_preset(std::string(preset.name));
    const auto job = FromProto(request);
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_EQ(job->config.kinetics, preset.config.kinetics);
    EXPECT_EQ(job->config.steps, preset.config.steps);
  }
}

TEST(KineticsProtoTest, RefusalsNameFieldAndBound) {
  EXPECT_EQ(Refusal(R"({"kinetics": {"gray_scott": {"feed": 1.5}}})"),
            "kinetics.gray_scott.feed: kinetics.gray_scott.feed is 1.5, must be in [0, 1]");
  EXPECT_EQ(Refusal(R"({"kinetics": {"brusselator": {"b": "NaN"}}})"),
            "kinetics.brusselator.b: kinetics.brusselator.b is nan, must be in [0, 100]");
  EXPECT_EQ(Refusal(R"({"kinetics": {"brusselator": {"b": true}}})"),
            "kinetics.brusselator.b: kinetics.brusselator.b must be a number");
  EXPECT_EQ(Refusal(R"({"kinetics": {"gray_scott": {}}, "d_activator": 0.1})"),
            "d_activator: d_activator must be absent with gray_scott, whose parameters are in "
            "kinetics.gray_scott");
  EXPECT_EQ(Refusal(R"({"pattern_preset": "gray_scott_mu", "kinetics": {"brusselator": {}}})"),
            "kinetics: kinetics is brusselator, but pattern_preset \"gray_scott_mu\" is "
            "gray_scott");
  EXPECT_EQ(Refusal(R"({"kinetics": {"gray_scott": {}, "brusselator": {}}})"),
            "kinetics.brusselator: kinetics.brusselator must be absent beside gray_scott");
  EXPECT_EQ(Refusal(R"({"time_step": 2.6})"),
            "time_step: time_step is 2.6, must be at most 2.5 for the scheme to be stable "
            "(diffusion: spacing^2 / (4 * d_activator) with spacing 1 and diffusion 0.1; lower "
            "time_step or raise spacing)");
  EXPECT_EQ(Refusal(R"({"spacing": 0})"), "spacing: spacing is 0, must be in [1e-04, 10000]");
  const std::string preset = Refusal(R"({"pattern_preset": "coral"})");
  EXPECT_EQ(preset.find("pattern_preset: pattern_preset is \"coral\", must be one of mfn_spots, "),
            0u);
}

TEST(KineticsProtoTest, TheCompatibilityModeKnowsNoneOfIt) {
  for (const char* field :
       {R"("kinetics": {"gray_scott": {}})", R"("kinetics": {})",
        R"("pattern_preset": "gray_scott_mu")", R"("time_step": 1)", R"("spacing": 1)"}) {
    const std::string refusal =
        Refusal("{\"mode\": \"SIMULATION_MODE_REQUEST_COMPAT\", " + std::string(field) + "}");
    EXPECT_NE(refusal.find("must be absent in SIMULATION_MODE_REQUEST_COMPAT"), std::string::npos)
        << refusal;
  }
}

// The configuration in effect has the names of a request.
TEST(KineticsProtoTest, TheConfigurationInEffectIsCompleteAndRunsAgain) {
  for (const engine::Preset& preset : engine::Presets()) {
    SCOPED_TRACE(preset.name);
    SimulationRequest request;
    request.set_pattern_preset(std::string(preset.name));
    request.set_grid_size(24);
    request.set_steps(20);
    request.set_seed(3);
    SimulationResult result = ResultOf(request);
    EXPECT_EQ(result.config().pattern_preset(), preset.name);
    const bool mfn = std::holds_alternative<engine::Mfn>(preset.config.kinetics);
    EXPECT_EQ(result.config().has_kinetics(), !mfn);
    EXPECT_EQ(result.config().has_r_activator(), mfn);
    SimulationRequest again;
    std::string json;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(result.config(), &json).ok());
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &again).ok());
    again.clear_pattern_preset();
    again.set_wide_seed(result.seed());
    SimulationResult repeated = ResultOf(again);
    repeated.mutable_config()->set_pattern_preset(std::string(preset.name));
    repeated.clear_timing();
    result.clear_timing();
    EXPECT_TRUE(MessageDifferencer::Equals(repeated, result));
  }
}

TEST(KineticsProtoTest, KineticsThatStayUniformAreReported) {
  const auto warnings = [](const std::string& parameters) {
    return ResultOf(Parse(R"({"steps": 2, "seed": 1, "kinetics": )" + parameters + "}"))
        .warnings_size();
  };
  EXPECT_EQ(warnings(R"({"schnakenberg": {"d_inhibitor": 8}})"), 1);
  EXPECT_EQ(warnings(R"({"schnakenberg": {}})"), 0);
  EXPECT_EQ(warnings(R"({"gray_scott": {}})"), 0);
  EXPECT_EQ(warnings(R"({"brusselator": {"b": 22}})"), 0);  // oscillates
}

TEST(KineticsProtoTest, JsonOfTheResultReadsBack) {
  for (const char* json : {R"({"kinetics": {"gierer_meinhardt": {"a": 0}}, "steps": 3, "seed": 1})",
                           R"({"pattern_preset": "mfn_spots", "steps": 3, "seed": 1})"}) {
    const SimulationResult result = ResultOf(Parse(json));
    SimulationResult read;
    const auto status = google::protobuf::util::JsonStringToMessage(ToJson(result), &read);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(MessageDifferencer::Equals(read, result)) << ToJson(result);
  }
}

}  // namespace
}  // namespace mfn::pipeline
