// RunStream and RunMany through a real channel: order, completeness, pace, cancellation.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "absl/synchronization/notification.h"
#include "mfn/v1/simulation_service.grpc.pb.h"
#include "server/rpc/run_stream.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using mfn::v1::RunManyRequest;
using mfn::v1::RunManyResponse;
using mfn::v1::RunStreamRequest;
using mfn::v1::RunStreamResponse;
using mfn::v1::SimulationResult;
using mfn::v1::SimulationService;

std::vector<RunStreamResponse> ReadAll(const TestServer& server, const RunStreamRequest& request,
                                       grpc::Status* status) {
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunStream(&context, request);
  std::vector<RunStreamResponse> events;
  RunStreamResponse event;
  while (stream->Read(&event)) events.push_back(event);
  *status = stream->Finish();
  return events;
}

TEST(RunStream, FramesAreTheHistoryAndTheResultIsThatOfRun) {
  TestServer server;
  RunStreamRequest request;
  request.mutable_simulation()->set_request_id("s");
  request.mutable_simulation()->set_grid_size(16);
  request.mutable_simulation()->set_steps(10);
  request.mutable_simulation()->set_seed(5);
  request.mutable_simulation()->set_quantum_jitter(true);
  request.set_frame_interval(4);
  request.set_progress_interval(5);
  grpc::Status status;
  const auto events = ReadAll(server, request, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();

  mfn::v1::SimulationRequest unary = request.simulation();
  unary.set_include_history(true);
  SimulationResult expected;
  grpc::ClientContext context;
  ASSERT_TRUE(SimulationService::NewStub(server.channel())->Run(&context, unary, &expected).ok());

  std::vector<uint32_t> frames, progress;
  for (const RunStreamResponse& event : events) {
    if (event.has_progress()) progress.push_back(event.progress().steps_computed());
    if (!event.has_frame()) continue;
    frames.push_back(event.frame().step());
    EXPECT_EQ(event.frame().data(), expected.history().data().substr(
                                        (event.frame().step() - 1) * 16 * 16 * 8, 16 * 16 * 8));
  }
  EXPECT_EQ(frames, (std::vector<uint32_t>{4, 8, 10}));
  EXPECT_EQ(progress, (std::vector<uint32_t>{5, 10}));
  ASSERT_TRUE(events.back().has_result());
  SimulationResult result = events.back().result();
  expected.clear_history();
  result.clear_timing();
  expected.clear_timing();
  EXPECT_EQ(result.SerializeAsString(), expected.SerializeAsString());
}

TEST(RunStream, LargeFramesComeInChunksThatTileThem) {
  TestServer server;
  RunStreamRequest request;
  request.mutable_simulation()->set_grid_size(600);
  request.mutable_simulation()->set_steps(2);
  request.mutable_simulation()->set_include_field(true);
  grpc::Status status;
  const auto events = ReadAll(server, request, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  int64_t offset = 0;
  int chunks = 0;
  for (const RunStreamResponse& event : events) {
    if (!event.has_frame()) continue;
    EXPECT_EQ(event.frame().step(), 2u);
    EXPECT_EQ(event.frame().offset(), offset);
    EXPECT_LE(event.frame().data().size(), kChunkBytes);
    offset += static_cast<int64_t>(event.frame().data().size());
    EXPECT_EQ(event.frame().last(), offset == 600 * 600 * 8);
    ++chunks;
  }
  EXPECT_EQ(offset, 600 * 600 * 8);
  EXPECT_EQ(chunks, 3);
}

// What a server's one computing thread would simulate with next.
struct ArenaSeen {
  const engine::Simulation* arena = nullptr;
  size_t bytes = 0;
  bool operator==(const ArenaSeen&) const = default;
};

ArenaSeen LookAtArena(TestServer* server) {
  ArenaSeen seen;
  absl::Notification looked;
  server->calls().PushSimulation([&](pipeline::WorkerPool::Arena& arena) {
    seen = {arena.get(), arena->MemoryBytes()};
    looked.Notify();
  });
  looked.WaitForNotification();
  return seen;
}

CallRunner::Options OneComputingThread() {
  CallRunner::Options options;
  options.simulation_threads = 1;
  return options;
}

TEST(RunStream, TakesTheMemoryOfItsThreadAlongAndLeavesItThere) {
  TestServer server({}, Clock::Real(), OneComputingThread());
  RunStreamRequest request;
  request.mutable_simulation()->set_grid_size(96);
  request.mutable_simulation()->set_steps(20);
  request.mutable_simulation()->set_seed(1);
  request.set_frame_interval(6);  // several slices, and a frame after the last
  std::string result;
  ArenaSeen first;
  for (int k = 0; k < 4; ++k) {
    grpc::Status status;
    auto events = ReadAll(server, request, &status);
    ASSERT_TRUE(status.ok()) << status.error_message();
    std::string all;
    for (RunStreamResponse& event : events) {
      event.mutable_result()->clear_timing();
      all += event.SerializeAsString();
    }
    if (k == 0) {
      first = LookAtArena(&server);
      result = all;
    }
    EXPECT_GE(first.bytes, 6u * 96 * 96 * 8);
    EXPECT_TRUE(LookAtArena(&server) == first);
    EXPECT_EQ(all, result);
  }
}

// A small stream whose reader sleeps must not hold what its reservation does not have.
TEST(RunStream, LeavesMoreMemoryThanItReservedToItsThread) {
  TestServer server({}, Clock::Real(), OneComputingThread());
  auto stub = SimulationService::NewStub(server.channel());
  mfn::v1::SimulationRequest large;
  large.set_grid_size(512);
  large.set_steps(1);
  SimulationResult result;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Run(&context, large, &result).ok());
  const ArenaSeen before = LookAtArena(&server);
  ASSERT_GE(before.bytes, 6u * 512 * 512 * 8);
  for (const int side : {16, 512}) {
    RunStreamRequest request;
    request.mutable_simulation()->set_grid_size(side);
    request.mutable_simulation()->set_steps(100000);
    request.set_frame_interval(1);
    grpc::ClientContext stream_context;
    auto stream = stub->RunStream(&stream_context, request);
    RunStreamResponse event;
    ASSERT_TRUE(stream->Read(&event));
    EXPECT_EQ(LookAtArena(&server) == before, side == 16);
    stream_context.TryCancel();
    while (stream->Read(&event)) {
    }
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
}

TEST(RunStream, HoldsNoMemoryOfAnotherPrecisionBeyondItsReservation) {
  TestServer server({}, Clock::Real(), OneComputingThread());
  auto stub = SimulationService::NewStub(server.channel());
  mfn::v1::SimulationRequest exact;
  exact.set_grid_size(500);
  exact.set_steps(1);
  SimulationResult result;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Run(&context, exact, &result).ok());
  RunStreamRequest request;
  request.mutable_simulation()->set_grid_size(512);
  request.mutable_simulation()->set_steps(1);
  request.mutable_simulation()->set_precision(mfn::v1::PRECISION_FAST);
  grpc::Status status;
  ReadAll(server, request, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_LT(LookAtArena(&server).bytes, 10u * 512 * 512 * 8);
}

TEST(RunStream, CompatibilityModeEndsWithItsField) {
  TestServer server;
  RunStreamRequest request;
  request.mutable_simulation()->set_mode(mfn::v1::SIMULATION_MODE_REQUEST_COMPAT);
  request.mutable_simulation()->set_grid_size(16);
  request.mutable_simulation()->set_include_field(true);
  grpc::Status status;
  const auto events = ReadAll(server, request, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].frame().data().size(), 16u * 16 * 8);
  EXPECT_TRUE(events[1].result().statistics().has_fractal_dimension());
}

TEST(RunStream, BadInputNamesTheFieldWithItsPath) {
  TestServer server;
  RunStreamRequest request;
  request.mutable_simulation()->set_grid_size(2000);
  grpc::Status status;
  EXPECT_TRUE(ReadAll(server, request, &status).empty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(DetailsOf(status).field, "simulation.grid_size");
  request.mutable_simulation()->set_grid_size(8);
  request.set_frame_interval(-1);
  ReadAll(server, request, &status);
  EXPECT_EQ(DetailsOf(status).field, "frame_interval");
}

RunStreamRequest EndlessFrames() {
  RunStreamRequest request;
  request.mutable_simulation()->set_grid_size(256);
  request.mutable_simulation()->set_steps(1 << 20);
  request.set_frame_interval(1);
  return request;
}

TEST(RunStream, ASlowReaderSlowsTheSimulation) {
  TestServer server;
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunStream(&context, EndlessFrames());
  RunStreamResponse event;
  ASSERT_TRUE(stream->Read(&event));
  // Nobody reads now; another call needs the threads, and gets them. Had the stream computed on, it
  // would be thousands of steps ahead of its reader afterwards.
  mfn::v1::SimulationRequest other;
  other.set_grid_size(128);
  other.set_steps(2000);
  SimulationResult result;
  grpc::ClientContext other_context;
  ASSERT_TRUE(stub->Run(&other_context, other, &result).ok());
  uint32_t last = 0;
  for (int k = 0; k < 50 && stream->Read(&event); ++k) {
    if (event.has_frame()) last = event.frame().step();
  }
  EXPECT_LE(last, 60u);
  context.TryCancel();
  while (stream->Read(&event)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(RunStream, CancellingGivesTheMemoryBackAtOnce) {
  TestServer server;
  const int64_t before = server.calls().memory().free();
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunStream(&context, EndlessFrames());
  RunStreamResponse event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_LT(server.calls().memory().free(), before);
  const auto cancelled = std::chrono::steady_clock::now();
  context.TryCancel();
  WaitUntil([&] { return server.calls().memory().free() == before; }, "the memory to be free");
  EXPECT_LT(std::chrono::steady_clock::now() - cancelled, std::chrono::milliseconds(500));
  while (stream->Read(&event)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(RunMany, EveryRequestGetsItsResultAndAnErrorEndsNothing) {
  TestServer server;
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunMany(&context);
  constexpr int kRequests = 60;
  std::thread writer([&] {
    for (int k = 0; k < kRequests; ++k) {
      RunManyRequest request;
      request.mutable_simulation()->set_request_id("r" + std::to_string(k));
      request.mutable_simulation()->set_grid_size(k == 7 ? 3 : 16 + k % 5 * 16);
      request.mutable_simulation()->set_seed(static_cast<uint64_t>(k));
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  std::set<uint64_t> seen;
  RunManyResponse response;
  while (stream->Read(&response)) {
    const SimulationResult& result = response.result();
    EXPECT_EQ(result.request_id(), "r" + std::to_string(response.index()));
    EXPECT_TRUE(seen.insert(response.index()).second);
    if (response.index() == 7) {
      EXPECT_EQ(result.status(), SimulationResult::STATUS_ERROR);
      EXPECT_EQ(result.error().field(), "grid_size");
      EXPECT_EQ(result.error().code(), "INVALID_ARGUMENT");
      continue;
    }
    EXPECT_EQ(result.status(), SimulationResult::STATUS_OK);
    EXPECT_EQ(result.seed(), std::to_string(response.index()));
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(seen.size(), size_t{kRequests});
}

TEST(RunMany, AnEmptyStreamEndsWell) {
  TestServer server;
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunMany(&context);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(RunMany, StopsReadingWhenNobodyReadsResults) {
  CallRunner::Options options;
  options.simulation_threads = 1;
  options.stall_timeout = absl::Milliseconds(300);
  TestServer server({}, Clock::Real(), options);
  auto stub = SimulationService::NewStub(server.channel());
  grpc::ClientContext context;
  auto stream = stub->RunMany(&context);
  // Each result is 2 MiB: buffers fill, the server's writes stall, it stops reading, and our writes
  // wait until it has waited for long enough and drops the stream. So they end, however slow the
  // machine is, and few were made; a server that goes on reading takes them all.
  RunManyRequest request;
  request.mutable_simulation()->set_grid_size(512);
  request.mutable_simulation()->set_steps(1);
  request.mutable_simulation()->set_include_field(true);
  request.mutable_simulation()->mutable_initial_field()->set_rows(512);
  request.mutable_simulation()->mutable_initial_field()->set_cols(512);
  request.mutable_simulation()->mutable_initial_field()->set_data(std::string(512 * 512 * 8, '\0'));
  int written = 0;
  while (written < 500 && stream->Write(request)) ++written;
  EXPECT_LT(written, 100);
  RunManyResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::ABORTED);
}

}  // namespace
}  // namespace mfn::rpc
