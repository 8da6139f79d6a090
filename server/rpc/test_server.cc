#include "server/rpc/test_server.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/rpc/analysis_service.h"
#include "server/rpc/simulation_service.h"

namespace mfn::rpc {

TestServer::TestServer(const ServerConfig& config, Clock* clock, CallRunner::Options options)
    : access_(config, clock) {
  options.access = &access_;
  options.clock = clock;
  calls_ = std::make_unique<CallRunner>(options);
  services_.push_back(MakeSimulationService(calls_.get()));
  services_.push_back(MakeAnalysisService(calls_.get()));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(32 << 20);
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  channel_ =
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
}

TestServer::~TestServer() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

ErrorDetails DetailsOf(const grpc::Status& status) {
  ErrorDetails found;
  google::rpc::Status detailed;
  EXPECT_TRUE(detailed.ParseFromString(status.error_details()));
  for (const google::protobuf::Any& detail : detailed.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      found.reason = info.reason();
      found.domain = info.domain();
    }
    if (detail.UnpackTo(&bad)) found.field = bad.field_violations(0).field();
    if (detail.UnpackTo(&retry)) {
      found.retry_seconds =
          static_cast<double>(retry.retry_delay().seconds()) + retry.retry_delay().nanos() / 1e9;
    }
  }
  return found;
}

void WaitUntil(const std::function<bool()>& condition, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      FAIL() << "waited 10 s for: " << what;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace mfn::rpc
