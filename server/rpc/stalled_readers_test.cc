// The whole server, as configured, with readers that take nothing: a watch and a tap are under the
// same bound as every stream.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "mfn/v1/connector_service.grpc.pb.h"
#include "mfn/v1/pipeline_service.grpc.pb.h"
#include "server/app.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

namespace fs = std::filesystem;

// A pipeline that writes what it reads into the queue that it reads: there is always something to
// tell.
Config Circle(const fs::path& directory) {
  Config config;
  config.server.listen = "127.0.0.1:0";
  config.server.state_dir = directory;
  config.server.plugin_dirs = {MFN_PLUGIN_DIR};
  config.server.drain_timeout = absl::Seconds(2);
  config.server.stream_stall_timeout = absl::Milliseconds(400);
  InstanceConfig connector;
  connector.name = "in";
  connector.type = "memory";
  connector.config_json = absl::StrCat(R"({"queue": "q", "repeat": 64, "requests": [{"text": ")",
                                       std::string(4000, 'x'), R"("}]})");
  config.connectors.push_back(connector);
  InstanceConfig publisher;
  publisher.name = "out";
  publisher.type = "memory";
  publisher.role = InstanceRole::kPublisher;
  publisher.config_json = R"({"queue": "q"})";
  config.publishers.push_back(publisher);
  PipelineConfig pipeline;
  pipeline.name = "circle";
  pipeline.source = "in";
  pipeline.processor = ProcessorKind::kPassthrough;
  SinkRef sink;
  sink.publisher = "out";
  pipeline.sinks.push_back(sink);
  config.pipelines.push_back(pipeline);
  return config;
}

class StalledReaders : public testing::Test {
 protected:
  StalledReaders() {
    directory_ = fs::path(testing::TempDir()) /
                 (std::string("mfn-stalled-") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    auto app = App::Start(Circle(directory_), "test.yaml");
    EXPECT_TRUE(app.ok()) << app.status();
    app_ = *std::move(app);
    // A client that takes next to nothing beyond what it reads.
    grpc::ChannelArguments narrow;
    narrow.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
    narrow.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    channel_ = grpc::CreateCustomChannel(app_->server().address(),
                                         grpc::InsecureChannelCredentials(), narrow);
  }
  ~StalledReaders() override {
    app_.reset();
    fs::remove_all(directory_);
  }

  // Reads one message, and then nothing until the server has ended the stream.
  template <typename Stream, typename Message>
  void ExpectDropped(Stream* stream, Message* message, grpc::ClientContext* context) {
    ASSERT_TRUE(stream->Read(message));
    const auto begin = std::chrono::steady_clock::now();
    WaitUntil([&] { return Ended(); }, "the stream to be dropped");
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(400));
    while (stream->Read(message)) {
    }
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED) << context->debug_error_string();
    EXPECT_NE(status.error_message().find("READER_STALLED"), std::string::npos)
        << status.error_message();
  }

  bool Ended() {
    MetricSet figures;
    app_->server().Collect(&figures);
    double active = 0;
    for (const MetricSample& call : figures.families().at("mfn_rpc_active_calls").samples) {
      active += call.value;
    }
    return active == 0;
  }

  fs::path directory_;
  std::unique_ptr<App> app_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(StalledReaders, AWatchIsDropped) {
  auto stub = mfn::v1::PipelineService::NewStub(channel_);
  grpc::ClientContext context;
  mfn::v1::WatchPipelineRequest request;
  mfn::v1::WatchPipelineResponse response;
  request.set_name("pipelines/circle");
  request.mutable_interval()->set_nanos(100'000'000);
  auto stream = stub->WatchPipeline(&context, request);
  ExpectDropped(stream.get(), &response, &context);
}

TEST_F(StalledReaders, ATapIsDropped) {
  auto stub = mfn::v1::ConnectorService::NewStub(channel_);
  grpc::ClientContext context;
  mfn::v1::TapConnectorRequest request;
  mfn::v1::TapConnectorResponse response;
  request.set_name("connectors/in");
  request.set_max_records(1'000'000);
  auto stream = stub->TapConnector(&context, request);
  ExpectDropped(stream.get(), &response, &context);
}

}  // namespace
}  // namespace mfn::rpc
