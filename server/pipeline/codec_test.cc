#include "server/pipeline/codec.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/idempotency.h"

namespace mfn::pipeline {
namespace {

using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageDifferencer;
using mfn::v1::SimulationRequest;
using mfn::v1::SimulationResult;
using testing::ElementsAre;
using testing::HasSubstr;

std::string Repeat(const std::string& text, int times) {
  std::string all;
  for (int k = 0; k < times; ++k) all += text;
  return all;
}

struct BadPayload {
  const char* name;
  std::string payload;
  const char* reason;
  const char* text;  // within the message
};

class BadPayloadTest : public testing::TestWithParam<BadPayload> {};

TEST_P(BadPayloadTest, IsOneItemThatSaysWhy) {
  const BadPayload& bad = GetParam();
  const DecodedPayload decoded = DecodePayload(bad.payload, "application/json");
  ASSERT_EQ(decoded.items.size(), 1u);
  const absl::Status& status = decoded.items[0].status;
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(ReasonOf(status), bad.reason) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(bad.text));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadPayloadTest,
    testing::Values(
        BadPayload{"Empty", "", "JSON_TRUNCATED", "too early"},
        BadPayload{"Truncated", R"({"request_id": "x", "grid_size": 6)", "JSON_TRUNCATED", "34"},
        BadPayload{"TruncatedString", R"({"request_id": "x)", "JSON_TRUNCATED", "string"},
        BadPayload{"TruncatedList", R"([{"seed": 1}, {"seed": 2})", "JSON_TRUNCATED", "list"},
        BadPayload{"Nested", Repeat("[", 10000) + Repeat("]", 10000), "JSON_TOO_DEEP", "64"},
        BadPayload{"NestedObject",
                   R"({"seed":1,"a":)" + Repeat(R"({"a":)", 64) + "1" + Repeat("}", 65),
                   "JSON_TOO_DEEP", "64"},
        BadPayload{"NotUtf8", "{\"request_id\": \"\xff\xfe\"}", "NOT_UTF8", "UTF-8"},
        BadPayload{"Text", "\"just a string\"", "NOT_A_REQUEST", "a string"},
        BadPayload{"Number", "7", "NOT_A_REQUEST", "a number"},
        BadPayload{"Null", "null", "NOT_A_REQUEST", "null"},
        BadPayload{"EmptyObject", "{}", "NOT_A_REQUEST", "grid_size"},
        BadPayload{"UnknownOnly", R"({"colour": "red"})", "NOT_A_REQUEST", "none of the fields"},
        BadPayload{"EmptyList", "[]", "NOT_A_REQUEST", "no request"},
        BadPayload{"NaN", R"({"request_id": "x", "alpha": NaN})", "NOT_JSON", "byte"},
        BadPayload{"TrailingText", R"({"seed": 1} x)", "NOT_JSON", "byte"},
        BadPayload{"TextAfterList", R"([{"seed": 1}] x)", "NOT_JSON", "end of the list"},
        BadPayload{"Words", "hello", "NOT_JSON", "byte"},
        BadPayload{"WrongType", R"({"grid_size": "many"})", "WRONG_TYPE", "grid_size must be"},
        BadPayload{"Fraction", R"({"steps": 1.5})", "WRONG_TYPE", "steps must be a whole number"},
        BadPayload{"NegativeSeed", R"({"seed": -1})", "WRONG_TYPE", "2^64 - 1"},
        BadPayload{"ObjectForNumber", R"({"alpha": {"a": 1}})", "WRONG_TYPE", "alpha must not be"},
        BadPayload{"NumberForObject", R"({"initial_field": 3})", "WRONG_TYPE", "an object"},
        BadPayload{"NotBase64", R"({"initial_field": {"data": "*"}})", "WRONG_TYPE",
                   "initial_field.data must be base64"},
        BadPayload{"Boundary", R"({"boundary": "round"})", "WRONG_TYPE", "BOUNDARY_PERIODIC"},
        BadPayload{"LongId", R"({"request_id": ")" + Repeat("x", 257) + "\"}", "LIMIT_EXCEEDED",
                   "256"}),
    [](const auto& test) { return test.param.name; });

TEST(DecodePayload, RefusesMoreBytesThanAllowedWithoutReadingThem) {
  CodecLimits limits;
  limits.max_bytes = 16;
  const DecodedPayload decoded = DecodePayload(std::string(17, '['), "", limits);
  ASSERT_EQ(decoded.items.size(), 1u);
  EXPECT_EQ(ReasonOf(decoded.items[0].status), "PAYLOAD_TOO_LARGE");
  EXPECT_THAT(std::string(decoded.items[0].status.message()), HasSubstr("16"));
}

TEST(DecodePayload, RefusesAListOfTooManyItemsAsAWhole) {
  CodecLimits limits;
  limits.max_items = 2;
  EXPECT_EQ(DecodePayload(R"([{"seed":1},{"seed":2}])", "", limits).items.size(), 2u);
  const DecodedPayload decoded = DecodePayload(R"([{"seed":1},{"seed":2},{"seed":3}])", "", limits);
  ASSERT_EQ(decoded.items.size(), 1u);
  EXPECT_EQ(ReasonOf(decoded.items[0].status), "LIST_TOO_LONG");
}

TEST(DecodePayload, RefusesAContentTypeThatCannotBeJson) {
  EXPECT_FALSE(DecodePayload(R"({"seed":1})", "image/png").items[0].status.ok());
  EXPECT_TRUE(DecodePayload(R"({"seed":1})", "").items[0].status.ok());
  EXPECT_TRUE(
      DecodePayload(R"({"seed":1})", "application/vnd.x+json; charset=utf-8").items[0].status.ok());
}

TEST(DecodePayload, ReadsAListItemByItemAndBlamesOnlyTheBadOne) {
  const std::string payload =
      R"( [{"request_id": "a,]", "seed": "1"}, {"request_id": "b", "alpha": [1, 2]}, {"seed": 3}] )";
  const DecodedPayload decoded = DecodePayload(payload, "application/json");
  EXPECT_TRUE(decoded.list);
  ASSERT_EQ(decoded.items.size(), 3u);
  EXPECT_TRUE(decoded.items[0].status.ok()) << decoded.items[0].status;
  EXPECT_EQ(decoded.items[0].request.request_id(), "a,]");
  EXPECT_EQ(decoded.items[0].request.seed(), 1u);
  EXPECT_EQ(FieldOf(decoded.items[1].status), "alpha");
  EXPECT_EQ(decoded.items[1].request.request_id(), "b");
  EXPECT_EQ(decoded.items[1].bytes, R"({"request_id": "b", "alpha": [1, 2]})");
  EXPECT_TRUE(decoded.items[2].status.ok());
}

TEST(DecodePayload, ReportsUnknownFieldsAndSkipsWhatIsInThem) {
  const DecodedPayload decoded = DecodePayload(
      R"({"seed": 1, "colour": {"seed": 2, "x": [1, {"steps": 3}]}, "feature_config": {"shape": 1}})",
      "");
  ASSERT_TRUE(decoded.items[0].status.ok()) << decoded.items[0].status;
  EXPECT_EQ(decoded.items[0].request.seed(), 1u);
  EXPECT_FALSE(decoded.items[0].request.has_steps());
  EXPECT_THAT(decoded.items[0].warnings,
              ElementsAre("unknown field \"colour\"", "unknown field \"shape\""));
}

TEST(DecodePayload, ReadsWhatProtobufReadsAndTheSameFromIt) {
  for (
      const std::string json : {
          R"({"request_id": "ü \u00e9 \"", "seed": "18446744073709551615", "steps": "7"})",
          R"({"seed": 18446744073709551615, "grid_size": 8, "steps": 9, "alpha": 0.1})",
          R"({"alpha": 1, "jitter_var": 1e-3, "quantum_jitter": true, "turing_enabled": false})",
          R"({"alpha": "0.2", "boundary": "BOUNDARY_NEUMANN", "mode": 2, "request_id": null, "seed": 0})",
          R"({"initial_field": {"rows": 1, "cols": 1, "data": "AAAAAAAA8D8="}, "grid_size": "8"})",
          R"({"feature_config": {"connectivity": 8, "threshold_low_mv": -6.5e1}, "wide_seed": "99"})",
      }) {
    SimulationRequest expected;
    ASSERT_TRUE(JsonStringToMessage(json, &expected).ok()) << json;
    const DecodedPayload decoded = DecodePayload(json, "");
    ASSERT_TRUE(decoded.items[0].status.ok()) << json << decoded.items[0].status;
    EXPECT_TRUE(MessageDifferencer::Equals(decoded.items[0].request, expected)) << json;
  }
}

struct BadRequest {
  const char* name;
  const char* json;
  const char* field;
  const char* bound;
};

class BadRequestTest : public testing::TestWithParam<BadRequest> {};

TEST_P(BadRequestTest, NamesFieldAndBound) {
  SimulationRequest request;
  ASSERT_TRUE(JsonStringToMessage(GetParam().json, &request).ok());
  const absl::Status status = FromProto(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(FieldOf(status), GetParam().field) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().field));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().bound));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadRequestTest,
    testing::Values(
        BadRequest{"GridOver", R"({"grid_size": 1025})", "grid_size", "1024"},
        BadRequest{"GridUnder", R"({"grid_size": 3})", "grid_size", "[4, 1024]"},
        BadRequest{"GridOne", R"({"grid_size": -1})", "grid_size", "[4, 1024]"},
        BadRequest{"TooMuch", R"({"grid_size": 1024, "steps": 65537})", "steps", "2^36"},
        BadRequest{"StepsOver32Bits", R"({"grid_size": 4, "steps": 4294967296})", "steps",
                   "4294967295"},
        BadRequest{"NoSteps", R"({"steps": 0})", "steps", "at least 1"},
        BadRequest{"AlphaNaN", R"({"alpha": "NaN"})", "alpha", "0.25"},
        BadRequest{"AlphaUnstable", R"({"alpha": 0.25})", "alpha", "0.25"},
        BadRequest{"AlphaLow", R"({"alpha": 0.04})", "alpha", "0.05"},
        BadRequest{"RateNaN", R"({"d_inhibitor": "NaN"})", "d_inhibitor", "0.25"},
        BadRequest{"RateInfinite", R"({"r_activator": "Infinity"})", "r_activator", "0.1"},
        BadRequest{"Spike", R"({"spike_probability": 1.5})", "spike_probability", "[0, 1]"},
        BadRequest{"Threshold", R"({"turing_threshold": 0.4})", "turing_threshold", "[0.5, 0.95]"},
        BadRequest{"Jitter", R"({"jitter_var": 0.02})", "jitter_var", "[0, 0.01]"},
        BadRequest{"Boundary", R"({"boundary": 9})", "boundary", "[0, 3]"},
        BadRequest{"TwoSeeds", R"({"seed": 1, "wide_seed": "2"})", "wide_seed", "seed"},
        BadRequest{"WideSeed", R"({"wide_seed": "-2"})", "wide_seed", "4096"},
        BadRequest{"FieldBytes",
                   R"({"grid_size": 8, "initial_field": {"rows": 8, "cols": 8, "data": "AAAA"}})",
                   "initial_field.data", "512"},
        BadRequest{"FieldShape", R"({"grid_size": 8, "initial_field": {"rows": 4, "cols": 4}})",
                   "initial_field", "8 x 8"},
        BadRequest{"Scales", R"({"feature_config": {"num_scales": 1}})",
                   "feature_config.num_scales", "2"},
        BadRequest{"Neighbours", R"({"feature_config": {"connectivity": 6}})",
                   "feature_config.connectivity", "4 or 8"},
        BadRequest{"CompatRate", R"({"mode": 2, "r_activator": 0.01})", "r_activator", "absent"},
        BadRequest{"Precision", R"({"precision": 3})", "precision", "[0, 2]"},
        BadRequest{"CompatPrecision", R"({"mode": 2, "precision": 2})", "precision", "absent"},
        BadRequest{"CompatNaN", R"({"mode": 2, "alpha": "NaN"})", "alpha", "finite"},
        BadRequest{"CompatSteps", R"({"mode": 2, "steps": 0})", "steps", "at least 1"},
        BadRequest{"Mode", R"({"mode": 3})", "mode", "[0, 2]"}),
    [](const auto& test) { return test.param.name; });

TEST(FromProto, RefusesAFieldWithNaN) {
  SimulationRequest request;
  request.set_grid_size(4);
  std::vector<double> values(16, -0.07);
  values[5] = std::numeric_limits<double>::quiet_NaN();
  request.mutable_initial_field()->set_rows(4);
  request.mutable_initial_field()->set_cols(4);
  request.mutable_initial_field()->set_data(values.data(), 16 * sizeof(double));
  const absl::Status status = FromProto(request).status();
  EXPECT_EQ(FieldOf(status), "initial_field.data");
  EXPECT_THAT(std::string(status.message()), HasSubstr("value 5"));
  values[5] = 0;
  request.mutable_initial_field()->set_data(values.data(), 16 * sizeof(double));
  EXPECT_TRUE(FromProto(request).ok());
}

SimulationResult RunJson(const std::string& json) {
  const DecodedPayload decoded = DecodePayload(json, "");
  EXPECT_TRUE(decoded.items[0].status.ok()) << decoded.items[0].status;
  auto job = FromProto(decoded.items[0].request);
  EXPECT_TRUE(job.ok()) << job.status();
  SimulationResult result;
  const auto run = RunJob(*job, OptionsOf(*job), &result);
  EXPECT_TRUE(run.ok()) << run.status();
  return result;
}

TEST(RunJob, GivesTheNumbersOfTheModel) {
  const SimulationResult result = RunJson(R"({"seed": 42})");
  EXPECT_EQ(result.growth_events(), 14u);
  EXPECT_EQ(result.steps_computed(), 64u);
  EXPECT_EQ(result.statistics().field_mean_v(), -0.07003076248064738);
  EXPECT_EQ(result.statistics().field_std_v(), 0.0003302476077214526);
  EXPECT_EQ(result.seed(), "42");
  EXPECT_TRUE(result.has_features());
}

TEST(RunJob, RunsTheCompatibilityMode) {
  const SimulationResult field = RunJson(R"({"seed": 42, "grid_size": 16, "steps": 8})");
  const SimulationResult compat =
      RunJson(R"({"seed": 42, "grid_size": 16, "steps": 8, "mode": 2})");
  EXPECT_EQ(compat.statistics().field_mean_v(), field.statistics().field_mean_v());
  EXPECT_TRUE(compat.statistics().has_fractal_dimension());
  EXPECT_EQ(compat.config().mode(), mfn::v1::SIMULATION_MODE_REQUEST_COMPAT);
  EXPECT_EQ(compat.features().v_mean(), field.features().v_mean());
}

TEST(RunJob, FastPrecisionIsToldByConfigurationAndRevision) {
  const SimulationResult exact = RunJson(R"({"seed": 42, "quantum_jitter": true})");
  EXPECT_EQ(exact.config().precision(), mfn::v1::PRECISION_EXACT);
  EXPECT_EQ(exact.engine_revision(), kEngineRevision);
  const std::string request =
      R"({"seed": 42, "quantum_jitter": true, "precision": "PRECISION_FAST"})";
  const SimulationResult fast = RunJson(request);
  EXPECT_EQ(fast.config().precision(), mfn::v1::PRECISION_FAST);
  EXPECT_EQ(fast.engine_revision(), kFastEngineRevision);
  EXPECT_NE(fast.statistics().field_mean_v(), exact.statistics().field_mean_v());
  EXPECT_NEAR(fast.statistics().field_mean_v(), exact.statistics().field_mean_v(), 1e-7);
  // So that a replay finds the digest it expects.
  EXPECT_TRUE(MessageDifferencer::Equals(RunJson(request).features(), fast.features()));
}

TEST(RunJob, StartsFromTheFieldOfTheRequest) {
  std::string bytes(16 * sizeof(double), '\0');
  const SimulationResult result = RunJson(absl::StrCat(
      R"({"seed": 1, "grid_size": 4, "steps": 1, "spike_probability": 0, "initial_field": )"
      R"({"rows": 4, "cols": 4, "data": ")",
      absl::Base64Escape(bytes), "\"}}"));
  EXPECT_EQ(result.statistics().field_max_v(), 0.0);
  EXPECT_EQ(result.statistics().field_min_v(), 0.0);
}

TEST(ToJson, IsReadByProtobufAsTheSameMessage) {
  SimulationResult full = RunJson(R"({"seed": 42, "grid_size": 16, "steps": 8, "mode": 2})");
  full.set_request_id("ü \" \\ \n \x01 </x>");
  full.set_idempotency_key("00ff");
  full.add_warnings("one");
  full.add_warnings("two \"quoted\"");
  full.set_turing_activations(std::numeric_limits<uint64_t>::max());
  full.set_clamping_events(uint64_t{1} << 53);
  full.mutable_features()->set_d_box(-0.0);
  full.mutable_features()->set_v_min(std::numeric_limits<double>::denorm_min());
  full.mutable_features()->set_v_max(std::numeric_limits<double>::infinity());
  full.mutable_snapshot()->set_engine_revision("r");
  *full.mutable_snapshot()->mutable_config() = full.config();
  full.mutable_snapshot()->mutable_feature_config()->set_num_scales(3);
  full.mutable_snapshot()->mutable_feature_config()->set_stability_threshold_mv(0.5);
  full.mutable_snapshot()->set_growth_events(3);
  full.mutable_snapshot()->mutable_inhibitor()->set_data("\x01");
  full.mutable_snapshot()->mutable_generator()->set_state_high(~uint64_t{0});
  full.mutable_snapshot()->mutable_generator()->set_buffered(~uint32_t{0});
  full.mutable_snapshot()->mutable_features()->set_stable_at(5);
  full.mutable_snapshot()->mutable_features()->set_pending("\x02");
  full.mutable_field()->set_rows(1);
  full.mutable_field()->set_data("\x01\x02\xff\x00", 4);
  full.mutable_history()->set_frames(int64_t{1} << 40);
  SimulationResult error;
  ErrorToProto(FieldError("grid_size", "OUT_OF_RANGE", "grid_size is 3"), &error);
  for (const SimulationResult& result : {full, error, SimulationResult()}) {
    SimulationResult read;
    const std::string json = ToJson(result);
    const auto status = JsonStringToMessage(json, &read);
    ASSERT_TRUE(status.ok()) << status << json;
    EXPECT_TRUE(MessageDifferencer::Equals(read, result)) << json;
  }
}

TEST(ToJson, WritesNaNAsProto3JsonDoes) {
  SimulationResult result;
  result.mutable_features()->set_v_skew(std::numeric_limits<double>::quiet_NaN());
  SimulationResult read;
  ASSERT_TRUE(JsonStringToMessage(ToJson(result), &read).ok());
  EXPECT_TRUE(std::isnan(read.features().v_skew()));
}

// Sets every field of a message, of those in it too.
void FillAll(google::protobuf::Message* message) {
  const auto& reflection = *message->GetReflection();
  for (int k = 0; k < message->GetDescriptor()->field_count(); ++k) {
    const auto* field = message->GetDescriptor()->field(k);
    if (field->message_type() != nullptr) {
      FillAll(reflection.MutableMessage(message, field));
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT32) {
      reflection.SetInt32(message, field, 1);
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE) {
      reflection.SetDouble(message, field, 1);
    }
  }
}

TEST(ToJson, WritesEveryFieldThatAResultHas) {
  // A field added to the message must be added to the writer: all names must be in the text.
  SimulationResult full = RunJson(R"({"seed": 42, "grid_size": 16, "steps": 8, "mode": 2})");
  ErrorToProto(FieldError("f", "R", "m"), &full);
  full.set_status(SimulationResult::STATUS_OK);
  full.set_idempotency_key("k");
  full.add_warnings("w");
  full.mutable_field();
  full.mutable_history();
  full.mutable_config()->set_pattern_preset("p");
  FillAll(full.mutable_snapshot());
  const std::string json = ToJson(full);
  const auto* descriptor = full.GetDescriptor();
  for (int k = 0; k < descriptor->field_count(); ++k) {
    const auto* field = descriptor->field(k);
    EXPECT_THAT(json, HasSubstr("\"" + field->json_name() + "\":"));
    if (field->message_type() == nullptr) continue;
    for (int m = 0; m < field->message_type()->field_count(); ++m) {
      EXPECT_THAT(json, HasSubstr("\"" + field->message_type()->field(m)->json_name() + "\":"));
    }
  }
}

TEST(Codec, DecodesAndEncodesInMicroseconds) {
  const SimulationResult result = RunJson(R"({"seed": 42})");
  const std::string json = R"({"request_id": "abc", "seed": 7, "grid_size": 64, "steps": 64})";
  constexpr int kTimes = 2000;
  size_t bytes = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int k = 0; k < kTimes; ++k) {
    const DecodedPayload decoded = DecodePayload(json, "application/json");
    bytes += FromProto(decoded.items[0].request)->config.grid_size + ToJson(result).size();
  }
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - begin;
  RecordProperty("microseconds_each", absl::StrCat(spent.count() / kTimes));
  std::cout << spent.count() / kTimes << " us per request and result\n";
  EXPECT_GT(bytes, 0u);
}

TEST(Idempotency, KeysDifferWhereAnythingDiffers) {
  const std::string key = IdempotencyKey("p", "s", "r", 0);
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(key, IdempotencyKey("p", "s", "r", 0));
  EXPECT_NE(key, IdempotencyKey("p", "s", "r", 1));
  EXPECT_NE(IdempotencyKey("p", "sr", "", 0), IdempotencyKey("p", "s", "r", 0));
  EXPECT_NE(IdempotencyKey("ps", "", "r", 0), IdempotencyKey("p", "s", "r", 0));
}

TEST(Idempotency, TheSeedFollowsFromTheKeyAndFitsASignedInteger) {
  EXPECT_EQ(SeedFromKey("a"), SeedFromKey("a"));
  EXPECT_NE(SeedFromKey("a"), SeedFromKey("b"));
  EXPECT_LE(std::stoull(SeedFromKey("a").ToString()),
            uint64_t{std::numeric_limits<int64_t>::max()});
}

TEST(Idempotency, ADigestSeesEveryBit) {
  engine::Features features;
  const std::string digest = FeatureDigest(features);
  EXPECT_EQ(digest.size(), 64u);
  features.cluster_size_std = -0.0;
  EXPECT_NE(FeatureDigest(features), digest);
}

}  // namespace
}  // namespace mfn::pipeline
