// The whole server with the real file plugin: resources by RPC and by file, restarts, repeated
// requests, pages, dead letters, shutdown.
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "mfn/v1/connector_service.grpc.pb.h"
#include "mfn/v1/pipeline_service.grpc.pb.h"
#include "mfn/v1/plugin_service.grpc.pb.h"
#include "server/app.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using mfn::v1::ConnectorService;
using mfn::v1::PipelineService;
namespace fs = std::filesystem;

template <typename Message>
Message FromJson(const std::string& json) {
  Message message;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &message);
  EXPECT_TRUE(parsed.ok()) << parsed << " in " << json;
  return message;
}

// A server with its own folder, which Restart keeps.
class ResourcesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           (std::string("mfn-resources-") +
            testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(dir_);
    for (const char* sub : {"in", "out", "state"}) fs::create_directories(dir_ / sub);
    config_.server.listen = "127.0.0.1:0";
    config_.server.state_dir = dir_ / "state";
    config_.server.plugin_dirs = {MFN_PLUGIN_DIR};
    config_.server.drain_timeout = absl::Seconds(5);
    InstanceConfig fixed;
    fixed.name = "fixed";
    fixed.type = "file";
    fixed.config_json = R"({"path": ")" + (dir_ / "in").string() + R"("})";
    config_.connectors.push_back(fixed);
    Restart();
  }
  void TearDown() override {
    app_.reset();
    fs::remove_all(dir_);
  }

  void Restart() {
    app_.reset();
    auto app = App::Start(config_, "test.yaml");
    ASSERT_TRUE(app.ok()) << app.status();
    app_ = *std::move(app);
    auto channel =
        grpc::CreateChannel(app_->server().address(), grpc::InsecureChannelCredentials());
    connectors_ = ConnectorService::NewStub(channel);
    pipelines_ = PipelineService::NewStub(channel);
    plugins_ = mfn::v1::PluginService::NewStub(channel);
    channel_ = channel;
  }

  template <typename Stub, typename Request, typename Response>
  grpc::Status Call(const std::unique_ptr<Stub>& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const std::string& json, Response* response) {
    grpc::ClientContext context;
    return (stub.get()->*method)(&context, FromJson<Request>(json), response);
  }

  std::string CreateJson(const std::string& id, const std::string& extra = "") const {
    return R"({"connector_id": ")" + id +
           R"(", "connector": {"type": "file", "role": "ROLE_PUBLISHER",)" +
           R"( "config_data": {"path": ")" + (dir_ / "out").string() + R"("}})" + extra + "}";
  }
  grpc::Status Create(const std::string& json, mfn::v1::Connector* out) {
    return Call(connectors_, &ConnectorService::Stub::CreateConnector, json, out);
  }
  // A pipeline from "in" over RPC-made resources.
  void MakePipeline(const std::string& id) {
    mfn::v1::Connector connector;
    ASSERT_TRUE(Create(CreateJson("results"), &connector).ok());
    mfn::v1::Pipeline pipeline;
    const grpc::Status status = Call(
        pipelines_, &PipelineService::Stub::CreatePipeline,
        R"({"pipeline_id": ")" + id +
            R"(", "pipeline": {"source": "connectors/fixed", "sinks": [{"publisher": "connectors/results"}]}})",
        &pipeline);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(pipeline.status().state(), mfn::v1::PipelineStatus::STATE_RUNNING);
  }
  void Drop(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / "in" / (name + ".part")) << text;
    fs::rename(dir_ / "in" / (name + ".part"), dir_ / "in" / name);
  }
  mfn::v1::Pipeline GetPipeline(const std::string& name) {
    mfn::v1::Pipeline pipeline;
    EXPECT_TRUE(Call(pipelines_, &PipelineService::Stub::GetPipeline,
                     R"({"name": "pipelines/)" + name + R"("})", &pipeline)
                    .ok());
    return pipeline;
  }

  fs::path dir_;
  Config config_;
  std::unique_ptr<App> app_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<ConnectorService::Stub> connectors_;
  std::unique_ptr<PipelineService::Stub> pipelines_;
  std::unique_ptr<mfn::v1::PluginService::Stub> plugins_;
};

TEST_F(ResourcesTest, PluginsShowTheirSchema) {
  mfn::v1::ListPluginsResponse list;
  ASSERT_TRUE(Call(plugins_, &mfn::v1::PluginService::Stub::ListPlugins, "{}", &list).ok());
  ASSERT_GE(list.plugins_size(), 1);
  bool file = false;
  for (const mfn::v1::Plugin& plugin : list.plugins()) {
    mfn::v1::Plugin one;
    EXPECT_TRUE(Call(plugins_, &mfn::v1::PluginService::Stub::GetPlugin,
                     R"({"name": ")" + plugin.name() + R"("})", &one)
                    .ok());
    EXPECT_EQ(one.DebugString(), plugin.DebugString());  // maps in key order
    for (const mfn::v1::Component& component : plugin.components()) {
      if (component.type() != "file") continue;
      file = true;
      EXPECT_TRUE(component.source() && component.sink());
      EXPECT_EQ(component.config_schema().fields().count("properties"), 1u);
    }
  }
  EXPECT_TRUE(file);
  mfn::v1::Plugin none;
  EXPECT_EQ(DetailsOf(Call(plugins_, &mfn::v1::PluginService::Stub::GetPlugin,
                           R"({"name": "plugins/none"})", &none))
                .reason,
            "PLUGIN_NOT_FOUND");
}

TEST_F(ResourcesTest, AConnectorMadeByRpcSurvivesARestartAndCanBeDeleted) {
  mfn::v1::Connector made, found;
  const grpc::Status status = Create(CreateJson("mine"), &made);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(made.name(), "connectors/mine");
  EXPECT_EQ(made.origin(), mfn::v1::ORIGIN_RPC);
  EXPECT_FALSE(made.etag().empty());
  Restart();
  ASSERT_TRUE(Call(connectors_, &ConnectorService::Stub::GetConnector,
                   R"({"name": "connectors/mine"})", &found)
                  .ok());
  EXPECT_EQ(found.etag(), made.etag());
  EXPECT_EQ(found.config_data().DebugString(), made.config_data().DebugString());

  mfn::v1::DeleteConnectorResponse deleted;
  EXPECT_EQ(DetailsOf(Call(connectors_, &ConnectorService::Stub::DeleteConnector,
                           R"({"name": "connectors/mine", "etag": "old"})", &deleted))
                .reason,
            "ETAG_MISMATCH");
  EXPECT_TRUE(Call(connectors_, &ConnectorService::Stub::DeleteConnector,
                   R"({"name": "connectors/mine", "etag": ")" + made.etag() + R"("})", &deleted)
                  .ok());
  Restart();
  EXPECT_EQ(DetailsOf(Call(connectors_, &ConnectorService::Stub::GetConnector,
                           R"({"name": "connectors/mine"})", &found))
                .reason,
            "CONNECTOR_NOT_FOUND");
}

TEST_F(ResourcesTest, WhatTheFileListsIsReadOnly) {
  mfn::v1::Connector connector;
  ASSERT_TRUE(Call(connectors_, &ConnectorService::Stub::GetConnector,
                   R"({"name": "connectors/fixed"})", &connector)
                  .ok());
  EXPECT_EQ(connector.origin(), mfn::v1::ORIGIN_FILE);
  mfn::v1::DeleteConnectorResponse deleted;
  const grpc::Status status = Call(connectors_, &ConnectorService::Stub::DeleteConnector,
                                   R"({"name": "connectors/fixed"})", &deleted);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(DetailsOf(status).reason, "RESOURCE_FROM_FILE");
}

TEST_F(ResourcesTest, BadConnectorsAreRefusedWithTheirField) {
  mfn::v1::Connector out;
  const std::string unknown_type = R"({"connector_id": "a", "connector": {"type": "telepathy"}})";
  EXPECT_EQ(DetailsOf(Create(unknown_type, &out)).field, "connector.type");
  const std::string unknown_key =
      R"({"connector_id": "a", "connector": {"type": "file", "config_data": {"path": "x", "colour": 1}}})";
  const grpc::Status bad = Create(unknown_key, &out);
  EXPECT_EQ(bad.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(bad).field, "connector.config_data");
  EXPECT_NE(bad.error_message().find("colour"), std::string::npos) << bad.error_message();
  EXPECT_EQ(DetailsOf(Create(CreateJson("fixed"), &out)).reason, "CONNECTOR_EXISTS");
}

TEST_F(ResourcesTest, ARepeatedRequestChangesNothing) {
  const std::string json = CreateJson("once", R"(, "request_id": "r-1")");
  mfn::v1::Connector first, second;
  ASSERT_TRUE(Create(json, &first).ok());
  ASSERT_TRUE(Create(json, &second).ok());
  EXPECT_EQ(first.etag(), second.etag());
  EXPECT_EQ(DetailsOf(Create(CreateJson("twice", R"(, "request_id": "r-1")"), &second)).reason,
            "REQUEST_ID_REUSED");
}

TEST_F(ResourcesTest, PagesTileTheList) {
  for (const char* id : {"a", "b", "c", "d"}) {
    mfn::v1::Connector connector;
    ASSERT_TRUE(Create(CreateJson(id), &connector).ok());
  }
  std::vector<std::string> names;
  std::string token;
  do {
    mfn::v1::ListConnectorsResponse page;
    ASSERT_TRUE(Call(connectors_, &ConnectorService::Stub::ListConnectors,
                     R"({"page_size": 2, "page_token": ")" + token + R"("})", &page)
                    .ok());
    EXPECT_LE(page.connectors_size(), 2);
    for (const auto& connector : page.connectors()) names.push_back(connector.name());
    token = page.next_page_token();
  } while (!token.empty());
  EXPECT_EQ(names, (std::vector<std::string>{"connectors/a", "connectors/b", "connectors/c",
                                             "connectors/d", "connectors/fixed"}));
}

TEST_F(ResourcesTest, CheckSaysHowAConnectorIs) {
  mfn::v1::CheckConnectorResponse check;
  ASSERT_TRUE(Call(connectors_, &ConnectorService::Stub::CheckConnector,
                   R"({"name": "connectors/fixed"})", &check)
                  .ok());
  EXPECT_TRUE(check.healthy()) << check.message();
  mfn::v1::ExecuteConnectorResponse executed;
  EXPECT_EQ(DetailsOf(Call(connectors_, &ConnectorService::Stub::ExecuteConnector,
                           R"({"name": "connectors/fixed", "record": {}})", &executed))
                .reason,
            "NO_EXECUTOR");
}

TEST_F(ResourcesTest, TheBreakerIsControlledAndShown) {
  const auto control = [&](const std::string& action, mfn::v1::ControlBreakerResponse* out) {
    return Call(connectors_, &ConnectorService::Stub::ControlBreaker,
                R"({"name": "connectors/fixed", "action": ")" + action + R"("})", out);
  };
  using Status = mfn::v1::ConnectorStatus;
  mfn::v1::ControlBreakerResponse out;
  ASSERT_TRUE(control("ACTION_FORCE_OPEN", &out).ok());
  EXPECT_EQ(out.status().breaker(), Status::BREAKER_OPEN);
  EXPECT_EQ(out.status().breaker_control(), Status::BREAKER_CONTROL_FORCED_OPEN);
  mfn::v1::Connector connector;
  ASSERT_TRUE(Call(connectors_, &ConnectorService::Stub::GetConnector,
                   R"({"name": "connectors/fixed"})", &connector)
                  .ok());
  EXPECT_EQ(connector.status().breaker_control(), Status::BREAKER_CONTROL_FORCED_OPEN);
  ASSERT_TRUE(control("ACTION_DISABLE", &out).ok());
  EXPECT_EQ(out.status().breaker_control(), Status::BREAKER_CONTROL_DISABLED);
  ASSERT_TRUE(control("ACTION_RESET", &out).ok());
  EXPECT_EQ(out.status().breaker_control(), Status::BREAKER_CONTROL_AUTOMATIC);
  EXPECT_EQ(out.status().retry_budget(), 500);
  EXPECT_EQ(DetailsOf(control("ACTION_UNSPECIFIED", &out)).field, "action");
}

TEST_F(ResourcesTest, HowACallIsGuardedComesBackAsGiven) {
  const std::string guarded =
      R"({"connector_id": "g", "connector": {"type": "file", "role": "ROLE_PUBLISHER",
          "config_data": {"path": ")" +
      (dir_ / "out").string() + R"("},
          "retry_policy": {"budget": 70, "overrides": [
              {"match": "HTTP_403", "as": "FAILURE_CLASS_RETRYABLE"}]},
          "circuit_breaker": {"failure_ratio": 0.25, "ratio_window": "20s", "ratio_min_calls": 3,
              "max_timeout": "120s", "successes_to_close": 2},
          "rate_limit": {"per_second": 1.5}, "max_concurrent_calls": 3}})";
  mfn::v1::Connector out;
  const grpc::Status status = Create(guarded, &out);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(out.retry_policy().budget(), 70);
  ASSERT_EQ(out.retry_policy().overrides_size(), 1);
  EXPECT_EQ(out.retry_policy().overrides(0).match(), "HTTP_403");
  EXPECT_EQ(out.retry_policy().overrides(0).as(),
            mfn::v1::FailureOverride::FAILURE_CLASS_RETRYABLE);
  EXPECT_EQ(out.circuit_breaker().failure_ratio(), 0.25);
  EXPECT_EQ(out.circuit_breaker().ratio_window().seconds(), 20);
  EXPECT_EQ(out.circuit_breaker().ratio_min_calls(), 3);
  EXPECT_EQ(out.circuit_breaker().max_timeout().seconds(), 120);
  EXPECT_EQ(out.circuit_breaker().successes_to_close(), 2);
  EXPECT_EQ(out.rate_limit().per_second(), 1.5);
  EXPECT_EQ(out.rate_limit().burst(), 2);
  EXPECT_EQ(out.max_concurrent_calls(), 3);
  const std::string lower = R"({"connector_id": "h", "connector": {"type": "file",
      "retry_policy": {"overrides": [{"match": "http", "as": "FAILURE_CLASS_AUTH"}]}}})";
  EXPECT_EQ(DetailsOf(Create(lower, &out)).field, "connector.retry_policy.overrides[0].match");
}

TEST_F(ResourcesTest, SecretsAreRedactedAndExecutorsAnswer) {
  mfn::v1::Connector made;
  const grpc::Status status = Create(
      R"({"connector_id": "m", "connector": {"type": "memory", "config_data": {"queue": "q", "token": "s3cret"}}})",
      &made);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(made.config_data().fields().at("token").string_value(), "REDACTED");
  EXPECT_EQ(made.config_data().fields().at("queue").string_value(), "q");
  const auto execute = [&](const std::string& payload_base64) {
    mfn::v1::ExecuteConnectorResponse executed;
    return Call(connectors_, &ConnectorService::Stub::ExecuteConnector,
                R"({"name": "connectors/m", "record": {"payload": ")" + payload_base64 + R"("}})",
                &executed);
  };
  EXPECT_TRUE(execute("eyJvcCI6Imxpc3QifQ==").ok());  // {"op":"list"}
  const grpc::Status refused = execute("e30=");       // {}
  EXPECT_EQ(DetailsOf(refused).reason, "BAD_REQUEST");
  EXPECT_NE(refused.error_message().find("op"), std::string::npos) << refused.error_message();
}

TEST_F(ResourcesTest, APipelineRunsAfterARestartAndIsSteered) {
  MakePipeline("p");
  Restart();
  EXPECT_EQ(GetPipeline("p").origin(), mfn::v1::ORIGIN_RPC);
  Drop("one.json", R"({"request_id": "x", "grid_size": 8, "steps": 2, "seed": 1})");
  WaitUntil([&] { return GetPipeline("p").status().conservation().delivered() == 1; },
            "the result to be delivered");
  WaitUntil([&] { return GetPipeline("p").status().records_acked() == 1; }, "the ack");
  const mfn::v1::PipelineStatus figures = GetPipeline("p").status();
  EXPECT_EQ(figures.in_flight_records() + figures.in_flight_bytes() + figures.in_flight_cost(), 0u);
  ASSERT_EQ(figures.sinks_size(), 1);
  EXPECT_EQ(figures.sinks(0).publisher(), "connectors/results");
  EXPECT_TRUE(figures.sinks(0).required());
  EXPECT_FALSE(figures.sinks(0).held());
  EXPECT_EQ(figures.dead_letters(), 0);
  EXPECT_FALSE(figures.has_oldest_dead_letter_age());
  mfn::v1::DeleteConnectorResponse deleted;
  EXPECT_EQ(DetailsOf(Call(connectors_, &ConnectorService::Stub::DeleteConnector,
                           R"({"name": "connectors/results"})", &deleted))
                .reason,
            "CONNECTOR_IN_USE");
  mfn::v1::Pipeline pipeline;
  ASSERT_TRUE(Call(pipelines_, &PipelineService::Stub::PausePipeline, R"({"name": "pipelines/p"})",
                   &pipeline)
                  .ok());
  EXPECT_EQ(pipeline.status().state(), mfn::v1::PipelineStatus::STATE_PAUSED);
  ASSERT_TRUE(Call(pipelines_, &PipelineService::Stub::DrainPipeline,
                   R"({"name": "pipelines/p", "bound": "2s"})", &pipeline)
                  .ok());
  EXPECT_EQ(pipeline.status().state(), mfn::v1::PipelineStatus::STATE_STOPPED);
  mfn::v1::DeletePipelineResponse gone;
  ASSERT_TRUE(
      Call(pipelines_, &PipelineService::Stub::DeletePipeline, R"({"name": "pipelines/p"})", &gone)
          .ok());
  EXPECT_EQ(DetailsOf(Call(pipelines_, &PipelineService::Stub::GetPipeline,
                           R"({"name": "pipelines/p"})", &pipeline))
                .reason,
            "PIPELINE_NOT_FOUND");
}

TEST_F(ResourcesTest, ABadPipelineNamesItsField) {
  mfn::v1::Pipeline pipeline;
  const grpc::Status status = Call(
      pipelines_, &PipelineService::Stub::CreatePipeline,
      R"({"pipeline_id": "p", "pipeline": {"source": "nowhere", "sinks": [{"publisher": "x"}]}})",
      &pipeline);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(status).field, "pipeline.source");
}

TEST_F(ResourcesTest, DeadLettersAreListedReadAndDiscarded) {
  MakePipeline("p");
  for (const char* name : {"a.json", "b.json", "c.json"}) {
    Drop(name, R"({"request_id": "bad", "grid_size": 3})");
  }
  WaitUntil([&] { return GetPipeline("p").status().conservation().dead_lettered() == 3; },
            "three dead letters");
  std::set<std::string> names;
  std::string token;
  do {
    mfn::v1::ListDeadLettersResponse page;
    ASSERT_TRUE(
        Call(pipelines_, &PipelineService::Stub::ListDeadLetters,
             R"({"parent": "pipelines/p", "page_size": 1, "page_token": ")" + token + R"("})",
             &page)
            .ok());
    EXPECT_EQ(page.total_size(), 3);
    for (const auto& letter : page.dead_letters()) names.insert(letter.name());
    token = page.next_page_token();
  } while (!token.empty());
  ASSERT_EQ(names.size(), 3u);
  mfn::v1::DeadLetter letter;
  ASSERT_TRUE(Call(pipelines_, &PipelineService::Stub::GetDeadLetter,
                   R"({"name": ")" + *names.begin() + R"("})", &letter)
                  .ok());
  EXPECT_EQ(letter.payload(), R"({"request_id": "bad", "grid_size": 3})");
  EXPECT_NE(letter.message().find("grid_size"), std::string::npos);
  mfn::v1::DiscardDeadLetterResponse discarded;
  const std::string one = R"({"name": ")" + *names.begin() + R"("})";
  EXPECT_TRUE(Call(pipelines_, &PipelineService::Stub::DiscardDeadLetter, one, &discarded).ok());
  EXPECT_EQ(DetailsOf(Call(pipelines_, &PipelineService::Stub::DiscardDeadLetter, one, &discarded))
                .reason,
            "DEAD_LETTER_NOT_FOUND");
  mfn::v1::ReplayDeadLetterResponse replayed;
  EXPECT_FALSE(Call(pipelines_, &PipelineService::Stub::ReplayDeadLetter,
                    R"({"name": "pipelines/other/deadLetters/1"})", &replayed)
                   .ok());
}

TEST_F(ResourcesTest, ASecondServerOnThePortIsRefused) {
  Config second = config_;
  second.server.state_dir = dir_ / "state2";
  second.server.listen = app_->server().address();
  auto app = App::Start(second, "test.yaml");
  ASSERT_FALSE(app.ok());
  EXPECT_NE(app.status().message().find(second.server.listen), std::string::npos);
}

TEST_F(ResourcesTest, AnOpenAddressNeedsKeysOrTls) {
  Config open = config_;
  open.server.state_dir = dir_ / "state2";
  open.server.listen = "0.0.0.0:0";
  EXPECT_EQ(App::Start(open, "test.yaml").status().code(), absl::StatusCode::kFailedPrecondition);
  open.server.api_key_required = true;
  open.server.api_keys = {"k"};
  EXPECT_TRUE(App::Start(open, "test.yaml").ok());
}

}  // namespace
}  // namespace mfn::rpc
