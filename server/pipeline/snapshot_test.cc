// Snapshots as messages, and fields as NumPy files: what goes out comes in again, and what is
// broken is refused with the name of what is broken.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/npy.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/field_proto.h"

namespace mfn::pipeline {
namespace {

using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageDifferencer;
using mfn::v1::SimulationRequest;
using mfn::v1::SimulationResult;
using testing::HasSubstr;

SimulationResult RunIt(const SimulationRequest& request) {
  auto job = FromProto(request);
  EXPECT_TRUE(job.ok()) << job.status();
  SimulationResult result;
  if (!job.ok()) return result;
  engine::RunOptions options = OptionsOf(*job);
  options.snapshot = true;
  const auto run = RunJob(*job, options, &result);
  EXPECT_TRUE(run.ok()) << run.status();
  result.clear_timing();
  return result;
}

SimulationRequest RequestOf(const std::string& json) {
  SimulationRequest request;
  EXPECT_TRUE(JsonStringToMessage(json, &request).ok()) << json;
  return request;
}

SimulationResult Resume(const SimulationResult& from, int64_t steps) {
  SimulationRequest request;
  *request.mutable_resume_from() = from.snapshot();
  request.set_steps(steps);
  return RunIt(request);
}

TEST(Snapshot, TheResumedResultIsThatOfTheUninterruptedRun) {
  for (const char* json :
       {R"({"seed": 3, "grid_size": 24})",
        R"({"seed": 3, "grid_size": 24, "quantum_jitter": true, "boundary": "BOUNDARY_NEUMANN"})",
        R"({"wide_seed": "123456789012345678901234567890", "grid_size": 64,
            "precision": "PRECISION_FAST", "quantum_jitter": true, "boundary": "BOUNDARY_DIRICHLET"})",
        R"({"seed": 4, "grid_size": 17, "turing_enabled": false, "alpha": 0.2,
            "feature_config": {"stability_window": 2, "stability_threshold_mv": 1,
                               "max_box_size": 8, "connectivity": 8}})"}) {
    SimulationRequest request = RequestOf(json);
    request.set_steps(50);
    const SimulationResult whole = RunIt(request);
    request.set_steps(20);
    const SimulationResult first = RunIt(request);
    const SimulationResult resumed = Resume(Resume(first, 1), 29);
    EXPECT_TRUE(MessageDifferencer::Equals(resumed, whole)) << json;
    EXPECT_EQ(resumed.config().steps(), 50u);
  }
}

TEST(Snapshot, GoesThroughJson) {
  SimulationRequest request = RequestOf(R"({"seed": 5, "grid_size": 8, "steps": 9})");
  const SimulationResult first = RunIt(request);
  const std::string json = ToJson(first);
  SimulationResult read;
  ASSERT_TRUE(JsonStringToMessage(json, &read).ok());
  EXPECT_TRUE(MessageDifferencer::Equals(read, first));
  const size_t at = json.find("\"snapshot\":") + 11;
  const std::string payload =
      absl::StrCat(R"({"steps": 3, "resume_from": )", json.substr(at, json.size() - at));
  const DecodedPayload decoded = DecodePayload(payload, "");
  ASSERT_TRUE(decoded.items[0].status.ok()) << decoded.items[0].status;
  request.set_steps(12);
  EXPECT_TRUE(MessageDifferencer::Equals(RunIt(decoded.items[0].request), RunIt(request)));
}

// A snapshot holds the configuration in effect and is run again by these names.
TEST(Snapshot, EveryFieldOfAConfigurationIsAFieldOfARequest) {
  const auto* config = mfn::v1::SimulationConfig::descriptor();
  for (int k = 0; k < config->field_count(); ++k) {
    const auto* from = config->field(k);
    const auto* to = SimulationRequest::descriptor()->FindFieldByName(from->name());
    ASSERT_NE(to, nullptr) << from->name();
    if (from->name() == "steps") continue;
    EXPECT_FALSE(from->is_repeated()) << from->name();
    EXPECT_NE(from->cpp_type(), google::protobuf::FieldDescriptor::CPPTYPE_UINT32) << from->name();
    EXPECT_EQ(to->cpp_type(), from->cpp_type()) << from->name();
    EXPECT_EQ(to->message_type(), from->message_type()) << from->name();
  }
}

struct BadSnapshot {
  const char* name;
  std::function<void(SimulationRequest*)> harm;
  const char* field;
  const char* reason;
  const char* text;
};

class BadSnapshotTest : public testing::TestWithParam<BadSnapshot> {};

TEST_P(BadSnapshotTest, IsRefusedByName) {
  SimulationRequest request;
  *request.mutable_resume_from() =
      RunIt(RequestOf(R"({"seed": 5, "grid_size": 8, "steps": 9})")).snapshot();
  ASSERT_TRUE(FromProto(request).ok());
  GetParam().harm(&request);
  const absl::Status status = FromProto(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(FieldOf(status), GetParam().field) << status;
  EXPECT_EQ(ReasonOf(status), GetParam().reason) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().text));
}

mfn::v1::Snapshot* From(SimulationRequest* request) { return request->mutable_resume_from(); }

INSTANTIATE_TEST_SUITE_P(
    Table, BadSnapshotTest,
    testing::Values(
        BadSnapshot{"Revision", [](auto* r) { From(r)->set_engine_revision("mfn-4.1-f64-1"); },
                    "resume_from.engine_revision", "REVISION_MISMATCH", "mfn-4.1-f64-1"},
        BadSnapshot{
            "OtherPrecision",
            [](auto* r) { From(r)->mutable_config()->set_precision(mfn::v1::PRECISION_FAST); },
            "resume_from.engine_revision", "REVISION_MISMATCH", "f32"},
        BadSnapshot{"Cut", [](auto* r) { From(r)->mutable_field()->mutable_data()->pop_back(); },
                    "resume_from.field.data", "WRONG_SIZE", "512"},
        BadSnapshot{"Shape", [](auto* r) { From(r)->mutable_config()->set_grid_size(9); },
                    "resume_from.field", "WRONG_SIZE", "9 x 9"},
        BadSnapshot{"NotFinite",
                    [](auto* r) {
                      const double nan = std::numeric_limits<double>::quiet_NaN();
                      std::string* data = From(r)->mutable_inhibitor()->mutable_data();
                      data->replace(0, 8, reinterpret_cast<const char*>(&nan), 8);
                    },
                    "resume_from.inhibitor.data", "NOT_FINITE", "finite"},
        BadSnapshot{"Missing", [](auto* r) { From(r)->clear_generator(); }, "resume_from.generator",
                    "REQUIRED", "missing"},
        BadSnapshot{"Empty", [](auto* r) { From(r)->Clear(); }, "resume_from.config", "REQUIRED",
                    "missing"},
        BadSnapshot{"Even", [](auto* r) { From(r)->mutable_generator()->set_increment_low(2); },
                    "resume_from.generator.increment_low", "INVALID_VALUE", "even"},
        BadSnapshot{"Pending",
                    [](auto* r) { From(r)->mutable_features()->set_pending("12345678"); },
                    "resume_from.features", "INVALID_VALUE", "pending"},
        BadSnapshot{"PendingBytes", [](auto* r) { From(r)->mutable_features()->set_pending("1"); },
                    "resume_from.features.pending", "INVALID_VALUE", "float64"},
        BadSnapshot{"StableRun", [](auto* r) { From(r)->mutable_features()->set_stable_run(10); },
                    "resume_from.features", "INVALID_VALUE", "10"},
        BadSnapshot{"NoSteps", [](auto* r) { From(r)->mutable_config()->set_steps(0); },
                    "resume_from.config.steps", "INVALID_VALUE", "at least 1"},
        // What is added to these later must not overflow.
        BadSnapshot{"Spikes", [](auto* r) { From(r)->set_growth_events(10); },
                    "resume_from.growth_events", "INVALID_VALUE", "each step"},
        BadSnapshot{"Activations",
                    [](auto* r) { From(r)->set_turing_activations(uint64_t{1} << 62); },
                    "resume_from.turing_activations", "INVALID_VALUE", "each cell"},
        BadSnapshot{"Clampings", [](auto* r) { From(r)->set_clamping_events(uint64_t{1} << 62); },
                    "resume_from.clamping_events", "INVALID_VALUE", "each cell"},
        BadSnapshot{"Rates", [](auto* r) { From(r)->mutable_config()->set_alpha(0.3); },
                    "resume_from.config", "UNSTABLE", "0.25"},
        BadSnapshot{"Compat",
                    [](auto* r) {
                      auto* config = From(r)->mutable_config();
                      config->Clear();
                      config->set_steps(9);
                      config->set_mode(mfn::v1::SIMULATION_MODE_REQUEST_COMPAT);
                      From(r)->clear_feature_config();
                    },
                    "resume_from.config", "INVALID_VALUE", "feature_config"},
        BadSnapshot{"Alpha", [](auto* r) { r->set_alpha(0.1); }, "alpha", "INVALID_VALUE",
                    "absent"},
        BadSnapshot{"Seed", [](auto* r) { r->set_seed(5); }, "seed", "INVALID_VALUE", "absent"},
        BadSnapshot{"Steps", [](auto* r) { r->set_steps(int64_t{1} << 40); }, "steps",
                    "LIMIT_EXCEEDED", "2^36"},
        BadSnapshot{"AllSteps",
                    [](auto* r) {
                      *From(r) = RunIt(RequestOf(R"({"grid_size": 4, "steps": 9})")).snapshot();
                      r->set_steps(4294967290);
                    },
                    "steps", "LIMIT_EXCEEDED", "4294967299"}),
    [](const auto& test) { return test.param.name; });

// A square field as numpy.save would write it.
std::string Npy(int64_t n, double first) {
  std::vector<double> values(static_cast<size_t>(n * n));
  for (size_t k = 0; k < values.size(); ++k) values[k] = first + 1e-4 * static_cast<double>(k);
  const int64_t shape[] = {n, n};
  return engine::NpyHeader(shape) +
         std::string(reinterpret_cast<const char*>(values.data()), values.size() * 8);
}

void SetNpy(std::string file, mfn::v1::Field* field) {
  field->set_encoding(mfn::v1::FIELD_ENCODING_NPY);
  field->set_data(std::move(file));
}

TEST(NpyFields, StartARunAsRawOnesDo) {
  SimulationRequest npy = RequestOf(R"({"seed": 5, "grid_size": 8, "steps": 4})");
  SimulationRequest raw = npy;
  const auto set = [](double first, mfn::v1::Field* as_npy, mfn::v1::Field* as_raw) {
    SetNpy(Npy(8, first), as_npy);
    FieldData data;
    EXPECT_TRUE(ReadField(*as_npy, "x", &data).ok());
    WriteField(data.values, 8, mfn::v1::FIELD_ENCODING_RAW, as_raw);
  };
  set(-0.07, npy.mutable_initial_field(), raw.mutable_initial_field());
  set(0.2, npy.mutable_initial_activator(), raw.mutable_initial_activator());
  set(0.1, npy.mutable_initial_inhibitor(), raw.mutable_initial_inhibitor());
  const SimulationResult result = RunIt(npy);
  EXPECT_TRUE(MessageDifferencer::Equals(result, RunIt(raw)));
  EXPECT_GT(result.statistics().activator_mean(), 0.15);
}

TEST(NpyFields, TheChemistryAloneMayBeGiven) {
  SimulationRequest request = RequestOf(R"({"seed": 5, "grid_size": 8, "steps": 1})");
  const SimulationResult drawn = RunIt(request);
  SetNpy(Npy(8, 0.5), request.mutable_initial_activator());
  const SimulationResult given = RunIt(request);
  EXPECT_GT(given.statistics().activator_mean(), 0.4);
  EXPECT_NEAR(given.statistics().field_mean_v(), drawn.statistics().field_mean_v(), 1e-3);
}

TEST(NpyFields, SaysWhatIsWrongWithWhichField) {
  const auto check = [](const std::function<void(SimulationRequest*)>& harm, const char* field,
                        const char* text) {
    SimulationRequest request = RequestOf(R"({"seed": 5, "grid_size": 8})");
    harm(&request);
    const absl::Status status = FromProto(request).status();
    EXPECT_EQ(FieldOf(status), field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  };
  check([](auto* r) { SetNpy(Npy(7, 0), r->mutable_initial_activator()); }, "initial_activator",
        "7 x 7, must be 8 x 8");
  check([](auto* r) { SetNpy("junk", r->mutable_initial_inhibitor()); }, "initial_inhibitor.data",
        "numpy.save");
  check(
      [](auto* r) {
        SetNpy(Npy(8, 0), r->mutable_initial_field());
        r->mutable_initial_field()->set_rows(4);
        r->mutable_initial_field()->set_cols(8);
      },
      "initial_field", "4 x 8, must be 8 x 8");
  check([](auto* r) { r->mutable_initial_field()->set_encoding(mfn::v1::FieldEncoding(7)); },
        "initial_field", "0 x 0");
  check(
      [](auto* r) {
        const int64_t flat[] = {64};
        SetNpy(engine::NpyHeader(flat) + std::string(512, '\0'), r->mutable_initial_field());
      },
      "initial_field.data", "(64,), must be (N, N)");
  check([](auto* r) { r->set_field_encoding(mfn::v1::FieldEncoding(3)); }, "field_encoding",
        "[0, 2]");
}

TEST(NpyFields, ASeriesComesBackAsItWas) {
  std::vector<double> values(3 * 16, 0.25);
  values[17] = -1.0;
  for (const auto encoding : {mfn::v1::FIELD_ENCODING_RAW, mfn::v1::FIELD_ENCODING_NPY}) {
    mfn::v1::FieldSeries series;
    WriteSeries(values, 4, encoding, &series);
    FieldData data;
    ASSERT_TRUE(ReadSeries(series, "history", &data).ok());
    EXPECT_EQ(data.frames, 3);
    EXPECT_EQ(data.n, 4);
    EXPECT_EQ(data.values, values);
    series.set_frames(2);
    EXPECT_FALSE(ReadSeries(series, "history", &data).ok());
  }
}

}  // namespace
}  // namespace mfn::pipeline
