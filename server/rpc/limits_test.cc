// What a call may cost: a reader that takes nothing is dropped, a cancelled call stops computing,
// memory is reserved before it is taken and given back.
//
// How long a cancelled call goes on is measured in processor time of this process, in which nothing
// else computes: other programs of a busy machine do not count.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "mfn/v1/analysis_service.grpc.pb.h"
#include "mfn/v1/simulation_service.grpc.pb.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using mfn::v1::RunManyRequest;
using mfn::v1::RunManyResponse;
using mfn::v1::RunStreamRequest;
using mfn::v1::RunStreamResponse;
using mfn::v1::SimulationResult;
using mfn::v1::SimulationService;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
constexpr double kSlower = 20;
#else
constexpr double kSlower = 1;
#endif

double CpuMillis() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

CallRunner::Options OneThread() {
  CallRunner::Options options;
  options.simulation_threads = 1;
  return options;
}

mfn::v1::SimulationRequest Largest(int64_t steps) {
  mfn::v1::SimulationRequest request;
  request.set_grid_size(1024);
  request.set_steps(steps);
  request.set_quantum_jitter(true);
  return request;
}

// Lets the server compute for a while, cancels, and returns the processor time until the call's
// memory is free again, which is when nothing computes for it any more.
double MillisAfterCancel(TestServer* server, int64_t before, grpc::ClientContext* context) {
  WaitUntil([&] { return server->calls().memory().free() < before; }, "the call to be admitted");
  const double busy = CpuMillis() + 100 * kSlower;
  WaitUntil([&] { return CpuMillis() > busy; }, "the call to compute");
  const double cancelled = CpuMillis();
  context->TryCancel();
  WaitUntil([&] { return server->calls().memory().free() == before; }, "the call to end");
  return CpuMillis() - cancelled;
}

TEST(Cancelled, AUnaryCallStopsWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  SimulationResult result;
  grpc::Status status;
  std::thread call([&] { status = stub->Run(&context, Largest(1 << 16), &result); });
  EXPECT_LT(MillisAfterCancel(&server, before, &context), 50 * kSlower);
  call.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Cancelled, AStreamStopsWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  RunStreamRequest request;
  *request.mutable_simulation() = Largest(1 << 16);
  auto stream = stub->RunStream(&context, request);
  EXPECT_LT(MillisAfterCancel(&server, before, &context), 50 * kSlower);
  RunStreamResponse event;
  while (stream->Read(&event)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Cancelled, ManyStopWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunMany(&context);
  RunManyRequest request;
  *request.mutable_simulation() = Largest(1 << 16);
  for (int k = 0; k < 2; ++k) ASSERT_TRUE(stream->Write(request));
  EXPECT_LT(MillisAfterCancel(&server, before, &context), 50 * kSlower);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Cancelled, AnAggregationStopsWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  const int64_t before = server.calls().memory().free();
  auto stub = mfn::v1::AnalysisService::NewStub(server.channel());
  grpc::ClientContext context;
  mfn::v1::AggregateGradientsRequest request;
  mfn::v1::AggregateGradientsResponse response;
  request.set_num_clusters(1);
  for (int k = 0; k < 1000; ++k) {
    auto* values = request.add_gradients()->mutable_values();
    for (int n = 0; n < 2000; ++n) values->Add(k * n % 17);
  }
  grpc::Status status;
  std::thread call([&] { status = stub->AggregateGradients(&context, request, &response); });
  EXPECT_LT(MillisAfterCancel(&server, before, &context), 50 * kSlower);
  call.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

// What takes less than a moment even at its largest: many such calls wait for one thread. When the
// first has ended all are cancelled; neither what computes goes on for long nor is what waits
// begun. `start(context, response, ended)` begins one of them. Returns the processor time as above.
template <typename Response, typename Start>
double MillisAfterCancellingAll(TestServer* server, int calls, Start start) {
  struct Call {
    grpc::ClientContext context;
    Response response;
  };
  const auto free = [server] { return server->calls().memory().free(); };
  const int64_t before = free();
  absl::Notification go;
  server->calls().PushSimulation([&go](pipeline::WorkerPool::Arena&) { go.WaitForNotification(); });
  std::atomic<int> ended = 0, cancelled = 0;
  std::vector<std::unique_ptr<Call>> all;
  int64_t each = 0;
  for (int k = 0; k < calls; ++k) {
    Call& call = *all.emplace_back(std::make_unique<Call>());
    start(&call.context, &call.response, [&](const grpc::Status& status) {
      if (status.error_code() == grpc::StatusCode::CANCELLED) ++cancelled;
      EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::CANCELLED)
          << status.error_message();
      ++ended;
    });
    WaitUntil([&] { return free() <= before - (k + 1) * std::max<int64_t>(each, 1); },
              "the call to be admitted");
    if (k == 0) each = before - free();
  }
  go.Notify();
  WaitUntil([&] { return ended > 0; }, "the first call to end");
  const double begun = CpuMillis();
  for (const auto& call : all) call->context.TryCancel();
  WaitUntil([&] { return free() == before; }, "the calls to end");
  const double millis = CpuMillis() - begun;
  WaitUntil([&] { return ended == calls; }, "the caller to be told");
  EXPECT_GT(cancelled, 0);
  return millis;
}

// Every other cell is active, which leaves most to count.
void Chequer(mfn::v1::Field* field) {
  constexpr int kSide = 1024;
  field->set_rows(kSide);
  field->set_cols(kSide);
  std::vector<double> volt(kSide * kSide);
  for (size_t k = 0; k < volt.size(); ++k) volt[k] = (k / kSide + k) % 2 == 0 ? -0.03 : -0.07;
  field->set_data(volt.data(), volt.size() * sizeof(double));
}

TEST(Cancelled, TheFeaturesOfRunsStopWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  auto stub = SimulationService::NewStub(server.channel());
  auto request = Largest(1);  // next to its features, the step takes no time
  auto* features = request.mutable_feature_config();
  features->set_threshold_low_mv(-70);
  features->set_min_box_size(1);
  features->set_max_box_size(1024);
  features->set_num_scales(1024);
  EXPECT_LT(MillisAfterCancellingAll<SimulationResult>(
                &server, 16,
                [&](auto* context, auto* result, auto ended) {
                  stub->async()->Run(context, &request, result, ended);
                }),
            50 * kSlower);
}

TEST(Cancelled, BoxCountingStopsWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  auto stub = mfn::v1::AnalysisService::NewStub(server.channel());
  mfn::v1::ComputeBoxDimensionRequest request;
  Chequer(request.mutable_field());
  request.set_min_box_size(1);
  request.set_max_box_size(1024);
  request.set_num_scales(1024);
  EXPECT_LT(MillisAfterCancellingAll<mfn::v1::ComputeBoxDimensionResponse>(
                &server, 16,
                [&](auto* context, auto* response, auto ended) {
                  stub->async()->ComputeBoxDimension(context, &request, response, ended);
                }),
            50 * kSlower);
}

TEST(Cancelled, AnIfsStopsWithin50ms) {
  TestServer server({}, Clock::Real(), OneThread());
  auto stub = mfn::v1::AnalysisService::NewStub(server.channel());
  mfn::v1::GenerateIfsRequest request;
  request.set_num_points(1000000);
  request.set_num_transforms(1024);
  EXPECT_LT(MillisAfterCancellingAll<mfn::v1::GenerateIfsResponse>(
                &server, 64,
                [&](auto* context, auto* response, auto ended) {
                  stub->async()->GenerateIfs(context, &request, response, ended);
                }),
            50 * kSlower);
}

CallRunner::Options ShortBound() {
  CallRunner::Options options;
  options.stall_timeout = absl::Milliseconds(300);
  return options;
}

TEST(StalledReader, OfAStreamIsDroppedAndToldWhy) {
  TestServer server({}, Clock::Real(), ShortBound());
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  RunStreamRequest request;
  request.mutable_simulation()->set_grid_size(256);
  request.mutable_simulation()->set_steps(1 << 20);
  request.set_frame_interval(1);
  auto stream = stub->RunStream(&context, request);
  RunStreamResponse event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_LT(server.calls().memory().free(), before);
  // Nobody reads.
  WaitUntil([&] { return server.calls().memory().free() == before; }, "the stream to be dropped");
  while (stream->Read(&event)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_NE(status.error_message().find("READER_STALLED"), std::string::npos)
      << status.error_message();
}

TEST(StalledReader, OfManyResultsIsDroppedAndToldWhy) {
  TestServer server({}, Clock::Real(), ShortBound());
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunMany(&context);
  RunManyRequest request;
  request.mutable_simulation()->set_grid_size(512);
  request.mutable_simulation()->set_steps(1);
  request.mutable_simulation()->set_include_field(true);
  // The writes end when the stream is dropped.
  while (stream->Write(request)) {
  }
  WaitUntil([&] { return server.calls().memory().free() == before; }, "the memory to be free");
  RunManyResponse response;
  while (stream->Read(&response)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_NE(status.error_message().find("READER_STALLED"), std::string::npos)
      << status.error_message();
}

TEST(StalledReader, AStreamThatComputesForLongIsNotStalled) {
  CallRunner::Options options = OneThread();
  options.stall_timeout = absl::Milliseconds(250);
  TestServer server({}, Clock::Real(), options);
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  SimulationResult result;
  mfn::v1::SimulationRequest request = Largest(static_cast<int64_t>(512 / kSlower));  // some 500 ms
  EXPECT_TRUE(stub->Run(&context, request, &result).ok());
}

TEST(RunMany, ARequestThatFindsNoMemoryIsAnErrorAndEndsNothing) {
  CallRunner::Options options = OneThread();
  options.memory_bytes = 1 << 20;
  TestServer server({}, Clock::Real(), options);
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunMany(&context);
  RunManyRequest request;
  request.mutable_simulation()->set_grid_size(16);
  request.mutable_simulation()->set_include_field(true);  // may take 2 MiB of reply
  ASSERT_TRUE(stream->Write(request));
  request.mutable_simulation()->set_include_field(false);
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  RunManyResponse response;
  int busy = 0, good = 0;
  while (stream->Read(&response)) {
    if (response.result().error().reason() == "SERVER_BUSY") ++busy;
    if (response.result().status() == SimulationResult::STATUS_OK) ++good;
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(busy, 1);
  EXPECT_EQ(good, 1);
  EXPECT_EQ(server.calls().memory().free(), 1 << 20);
}

}  // namespace
}  // namespace mfn::rpc
