// What a call may cost: a reader that takes nothing is dropped, a cancelled call stops computing,
// memory is reserved before it is taken and given back.
//
// How long a cancelled call goes on is measured in processor time of this process, in which nothing
// else computes: other programs of a busy machine do not count.
#include <gtest/gtest.h>

#include <ctime>
#include <thread>

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
  mfn::v1::SimulationRequest request = Largest(512);  // some 500 ms
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
