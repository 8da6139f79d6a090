// Unary simulation and analysis calls through a real channel.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "mfn/v1/analysis_service.grpc.pb.h"
#include "mfn/v1/simulation_service.grpc.pb.h"
#include "server/base/fake_clock.h"
#include "server/engine/golden_test_util.h"
#include "server/rpc/simulation_run.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using mfn::v1::AnalysisService;
using mfn::v1::SimulationRequest;
using mfn::v1::SimulationResult;
using mfn::v1::SimulationService;

grpc::Status CallRun(const TestServer& server, const SimulationRequest& request,
                     SimulationResult* result, const std::string& key = "") {
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  if (!key.empty()) context.AddMetadata("x-api-key", key);
  return stub->Run(&context, request, result);
}

SimulationRequest FromGolden(const nlohmann::json& config) {
  SimulationRequest request;
  request.set_grid_size(config.at("grid_size"));
  request.set_steps(config.at("steps"));
  request.set_alpha(config.at("alpha"));
  request.set_spike_probability(config.at("spike_probability"));
  request.set_turing_enabled(config.at("turing_enabled"));
  request.set_turing_threshold(config.at("turing_threshold"));
  request.set_quantum_jitter(config.at("quantum_jitter"));
  request.set_jitter_var(config.at("jitter_var"));
  request.set_wide_seed(config.at("seed").get<std::string>());
  return request;
}

// The features under their wire names, as doubles.
double FeatureByName(const mfn::v1::Features& features, const std::string& name) {
  const auto* descriptor = features.GetDescriptor();
  for (int k = 0; k < descriptor->field_count(); ++k) {
    if (descriptor->field(k)->json_name() == name) {
      return features.GetReflection()->GetDouble(features, descriptor->field(k));
    }
  }
  ADD_FAILURE() << "no feature has the JSON name " << name;
  return std::numeric_limits<double>::quiet_NaN();
}

TEST(Run, GoldenFieldsAndFeaturesArriveBitForBit) {
  TestServer server;
  int compared = 0;
  for (const nlohmann::json& golden : engine::GoldenCases("sim.json")) {
    const nlohmann::json& expect = golden.at("expect");
    SimulationRequest request = FromGolden(golden.at("config"));
    if (request.grid_size() > 512) continue;
    request.set_include_field(true);
    request.set_request_id(golden.at("name").get<std::string>());
    SimulationResult result;
    const grpc::Status status = CallRun(server, request, &result);
    ASSERT_TRUE(status.ok()) << status.error_message();
    SCOPED_TRACE(result.request_id());
    EXPECT_EQ(result.request_id(), request.request_id());
    EXPECT_EQ(result.growth_events(), expect.at("growth_events").get<uint32_t>());
    EXPECT_EQ(result.seed(), request.wide_seed());
    EXPECT_EQ(result.field().rows(), request.grid_size());
    EXPECT_EQ(engine::Sha256(std::as_bytes(std::span(result.field().data()))),
              expect.at("sha256").at("field").get<std::string>());
    EXPECT_EQ(result.statistics().field_std_v(), engine::GoldenNumber(expect.at("field_std_v")));
    for (const char* exact : {"V_min", "V_max", "V_mean", "V_std", "dV_mean", "dV_max", "T_stable",
                              "f_active", "N_clusters_low", "N_clusters_med", "N_clusters_high",
                              "max_cluster_size", "cluster_size_std"}) {
      EXPECT_EQ(FeatureByName(result.features(), exact),
                engine::GoldenNumber(expect.at("features_history").at(exact)))
          << exact;
    }
    EXPECT_NEAR(result.features().d_box(),
                engine::GoldenNumber(expect.at("features_history").at("D_box")), 1e-9);
    ++compared;
  }
  EXPECT_GE(compared, 5);
}

TEST(Run, InlineAndPooledRunsAgree) {
  TestServer server;
  SimulationRequest request;
  request.set_grid_size(16);
  request.set_steps(16);
  request.set_seed(9);
  request.set_include_field(true);
  ASSERT_TRUE(IsSmall(request));
  SimulationResult small, pooled;
  ASSERT_TRUE(CallRun(server, request, &small).ok());
  request.set_include_history(true);
  ASSERT_FALSE(IsSmall(request));
  ASSERT_TRUE(CallRun(server, request, &pooled).ok());
  EXPECT_EQ(small.field().data(), pooled.field().data());
  EXPECT_EQ(pooled.history().frames(), 16);
  ASSERT_EQ(pooled.history().data().size(), 16u * 16 * 16 * 8);
  EXPECT_EQ(pooled.history().data().substr(15 * 16 * 16 * 8), pooled.field().data());
}

TEST(Run, ContinuesFromTheFieldOfAnotherRun) {
  TestServer server;
  SimulationRequest request;
  request.set_grid_size(8);
  request.set_include_field(true);
  request.set_spike_probability(0);
  SimulationResult first, second;
  ASSERT_TRUE(CallRun(server, request, &first).ok());
  *request.mutable_initial_field() = first.field();
  ASSERT_TRUE(CallRun(server, request, &second).ok());
  // Diffusion alone never widens the range.
  EXPECT_LE(second.statistics().field_max_v(), first.statistics().field_max_v());
  EXPECT_GE(second.statistics().field_min_v(), first.statistics().field_min_v());
}

TEST(Run, CompatibilityModeGivesTheHttpReply) {
  TestServer server;
  for (const nlohmann::json& golden : engine::GoldenCases("request_sim.json")) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    const nlohmann::json& expect = golden.at("expect");
    SimulationRequest request = FromGolden(golden.at("config"));
    request.set_mode(mfn::v1::SIMULATION_MODE_REQUEST_COMPAT);
    request.set_include_field(true);
    SimulationResult result;
    const grpc::Status status = CallRun(server, request, &result);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(engine::Sha256(std::as_bytes(std::span(result.field().data()))),
              expect.at("sha256_field").get<std::string>());
    EXPECT_EQ(result.growth_events(), expect.at("growth_events").get<uint32_t>());
    EXPECT_EQ(result.statistics().field_mean_v() * 1000.0,
              engine::GoldenNumber(expect.at("pot_mean_mV")));
    EXPECT_NEAR(result.statistics().fractal_dimension(),
                engine::GoldenNumber(expect.at("fractal_dimension")), 1e-9);
  }
}

struct BadCase {
  const char* name;
  std::function<void(SimulationRequest*)> spoil;
  const char* reason;
  const char* field;
  const char* bound;  // in the message
};

TEST(Run, BadInputNamesTheFieldAndTheBound) {
  TestServer server;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const BadCase cases[] = {
      {"grid", [](auto* r) { r->set_grid_size(1025); }, "LIMIT_EXCEEDED", "grid_size", "1024"},
      {"negative grid", [](auto* r) { r->set_grid_size(-5); }, "OUT_OF_RANGE", "grid_size", "4"},
      {"no steps", [](auto* r) { r->set_steps(0); }, "INVALID_VALUE", "steps", "1"},
      {"too much work", [](auto* r) { r->set_grid_size(1024), r->set_steps((1 << 16) + 1); },
       "LIMIT_EXCEEDED", "steps", "2^36"},
      {"alpha", [](auto* r) { r->set_alpha(0.25); }, "UNSTABLE", "alpha", "0.25"},
      {"NaN", [=](auto* r) { r->set_alpha(nan); }, "NOT_FINITE", "alpha", "0.25"},
      {"both seeds", [](auto* r) { r->set_seed(1), r->set_wide_seed("2"); }, "INVALID_VALUE",
       "wide_seed", "seed"},
      {"field size",
       [](auto* r) {
         r->set_grid_size(8);
         r->mutable_initial_field()->set_rows(8);
         r->mutable_initial_field()->set_cols(8);
         r->mutable_initial_field()->set_data("abc");
       },
       "WRONG_SIZE", "initial_field.data", "512"},
      {"reply", [](auto* r) { r->set_grid_size(513), r->set_steps(1), r->set_include_field(true); },
       "FIELD_TOO_LARGE", "include_field", "RunStream"},
      {"history",
       [](auto* r) { r->set_grid_size(64), r->set_steps(65), r->set_include_history(true); },
       "FIELD_TOO_LARGE", "include_history", "RunStream"},
      {"id", [](auto* r) { r->set_request_id(std::string(257, 'x')); }, "LIMIT_EXCEEDED",
       "request_id", "256"},
  };
  for (const BadCase& bad : cases) {
    SCOPED_TRACE(bad.name);
    SimulationRequest request;
    bad.spoil(&request);
    SimulationResult result;
    const grpc::Status status = CallRun(server, request, &result);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(status.error_message().find(bad.bound), std::string::npos) << status.error_message();
    const ErrorDetails details = DetailsOf(status);
    EXPECT_EQ(details.reason, bad.reason);
    EXPECT_EQ(details.domain, "mfn.dev");
    EXPECT_EQ(details.field, bad.field);
  }
}

SimulationRequest LongRun() {
  SimulationRequest request;
  request.set_grid_size(256);
  request.set_steps(1 << 20);
  request.set_seed(1);
  return request;
}

TEST(Run, ADeadlineStopsComputing) {
  CallRunner::Options options;
  options.simulation_threads = 1;
  TestServer server({}, Clock::Real(), options);
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  SimulationResult result;
  EXPECT_EQ(stub->Run(&context, LongRun(), &result).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  // The only thread is free again at once.
  SimulationRequest next;
  next.set_steps(1000);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(CallRun(server, next, &result).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Run, ACancelledCallGivesItsMemoryBack) {
  TestServer server;
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  std::thread canceller([&] {
    WaitUntil([&] { return server.calls().memory().free() < before; }, "the call to be admitted");
    context.TryCancel();
  });
  SimulationResult result;
  EXPECT_EQ(stub->Run(&context, LongRun(), &result).error_code(), grpc::StatusCode::CANCELLED);
  const auto cancelled = std::chrono::steady_clock::now();
  canceller.join();
  WaitUntil([&] { return server.calls().memory().free() == before; }, "the memory to be free");
  EXPECT_LT(std::chrono::steady_clock::now() - cancelled, std::chrono::milliseconds(500));
}

TEST(Run, RefusesWhatDoesNotFitIntoMemory) {
  CallRunner::Options options;
  options.memory_bytes = 100'000;
  TestServer server({}, Clock::Real(), options);
  SimulationRequest request;
  request.set_steps(1000);
  request.set_include_field(true);
  SimulationResult result;
  const grpc::Status status = CallRun(server, request, &result);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailsOf(status).reason, "SERVER_BUSY");
  EXPECT_GT(DetailsOf(status).retry_seconds, 0);
}

TEST(Access, EveryServiceNeedsTheKey) {
  ServerConfig config;
  config.api_keys = {"first-secret", "second-secret"};
  config.api_key_required = true;
  TestServer server(config);
  SimulationRequest request;
  SimulationResult result;
  EXPECT_EQ(DetailsOf(CallRun(server, request, &result)).reason, "API_KEY_MISSING");
  const grpc::Status wrong = CallRun(server, request, &result, "first-secreT");
  EXPECT_EQ(wrong.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(DetailsOf(wrong).reason, "API_KEY_INVALID");
  EXPECT_EQ(wrong.error_message().find("secret"), std::string::npos);
  EXPECT_TRUE(CallRun(server, request, &result, "second-secret").ok());

  grpc::ClientContext stream_context, many_context, nernst_context;
  mfn::v1::RunStreamResponse event;
  auto stub = SimulationService::NewStub(server.channel());
  auto stream = stub->RunStream(&stream_context, mfn::v1::RunStreamRequest());
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  auto many = stub->RunMany(&many_context);
  EXPECT_EQ(many->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  mfn::v1::ComputeNernstResponse nernst;
  EXPECT_EQ(AnalysisService::NewStub(server.channel())
                ->ComputeNernst(&nernst_context, mfn::v1::ComputeNernstRequest(), &nernst)
                .error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

TEST(Access, LimitsTheRateOfAMethodAndSaysWhenToComeBack) {
  ServerConfig config;
  config.rate_limit_enabled = true;
  config.rate_limit_per_second = 2;
  FakeClock clock;
  TestServer server(config, &clock);
  SimulationRequest request;
  request.set_grid_size(4);
  request.set_steps(1);
  SimulationResult result;
  EXPECT_TRUE(CallRun(server, request, &result).ok());
  EXPECT_TRUE(CallRun(server, request, &result).ok());
  const grpc::Status limited = CallRun(server, request, &result);
  EXPECT_EQ(limited.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailsOf(limited).reason, "RATE_LIMITED");
  EXPECT_DOUBLE_EQ(DetailsOf(limited).retry_seconds, 0.5);
  clock.Advance(absl::Milliseconds(500));
  EXPECT_TRUE(CallRun(server, request, &result).ok());
}

TEST(ExtractFeatures, EqualsTheFeaturesOfTheRun) {
  TestServer server;
  SimulationRequest request;
  request.set_grid_size(16);
  request.set_steps(12);
  request.set_seed(3);
  request.set_quantum_jitter(true);
  request.set_include_history(true);
  SimulationResult run;
  ASSERT_TRUE(CallRun(server, request, &run).ok());
  mfn::v1::ExtractFeaturesRequest extract;
  *extract.mutable_history() = run.history();
  mfn::v1::ExtractFeaturesResponse response;
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context, second_context;
  ASSERT_TRUE(stub->ExtractFeatures(&context, extract, &response).ok());
  EXPECT_EQ(response.features().SerializeAsString(), run.features().SerializeAsString());

  extract.mutable_history()->mutable_data()->pop_back();
  const grpc::Status bad = stub->ExtractFeatures(&second_context, extract, &response);
  EXPECT_EQ(DetailsOf(bad).field, "history.data");
}

}  // namespace
}  // namespace mfn::rpc
