// Snapshots and .npy through a real channel: replies, chunks of a stream, limits.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "mfn/v1/simulation_service.grpc.pb.h"
#include "server/engine/npy.h"
#include "server/rpc/run_stream.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using google::protobuf::util::MessageDifferencer;
using mfn::v1::RunStreamRequest;
using mfn::v1::RunStreamResponse;
using mfn::v1::SimulationRequest;
using mfn::v1::SimulationResult;
using mfn::v1::SimulationService;
using mfn::v1::Snapshot;

SimulationRequest RequestOf(int grid_size, int64_t steps) {
  SimulationRequest request;
  request.set_seed(11);
  request.set_grid_size(grid_size);
  request.set_steps(steps);
  return request;
}

grpc::Status RunIt(const TestServer& server, const SimulationRequest& request,
                   SimulationResult* result) {
  grpc::ClientContext context;
  const grpc::Status status =
      SimulationService::NewStub(server.channel())->Run(&context, request, result);
  result->clear_timing();
  return status;
}

// What a stream sent, put together.
struct Streamed {
  std::vector<std::pair<uint32_t, std::string>> frames;
  std::string snapshot;
  SimulationResult result;
};

grpc::Status RunStream(const TestServer& server, const RunStreamRequest& request, Streamed* out) {
  grpc::ClientContext context;
  auto stream = SimulationService::NewStub(server.channel())->RunStream(&context, request);
  RunStreamResponse event;
  bool within = false;
  while (stream->Read(&event)) {
    if (event.has_frame()) {
      if (!within) out->frames.emplace_back(event.frame().step(), "");
      EXPECT_EQ(event.frame().offset(), static_cast<int64_t>(out->frames.back().second.size()));
      out->frames.back().second += event.frame().data();
      within = !event.frame().last();
    }
    if (event.has_snapshot()) {
      EXPECT_EQ(event.snapshot().offset(), static_cast<int64_t>(out->snapshot.size()));
      EXPECT_LE(event.snapshot().data().size(), kChunkBytes);
      out->snapshot += event.snapshot().data();
    }
    if (event.has_result()) out->result = event.result();
  }
  out->result.clear_timing();
  return stream->Finish();
}

TEST(SnapshotRpc, AReplyGoesOnInAReplyOrAStream) {
  TestServer server;
  SimulationRequest request = RequestOf(32, 30);
  request.set_include_field(true);
  request.set_quantum_jitter(true);
  SimulationResult whole, first, resumed;
  ASSERT_TRUE(RunIt(server, request, &whole).ok());
  request.set_steps(12);
  request.set_include_snapshot(true);
  ASSERT_TRUE(RunIt(server, request, &first).ok());
  SimulationRequest more;
  more.set_steps(18);
  more.set_include_field(true);
  more.mutable_resume_from()->Swap(first.mutable_snapshot());
  ASSERT_TRUE(RunIt(server, more, &resumed).ok());
  EXPECT_TRUE(MessageDifferencer::Equals(resumed, whole));

  RunStreamRequest stream;
  *stream.mutable_simulation() = more;
  stream.set_frame_interval(10);
  Streamed streamed;
  ASSERT_TRUE(RunStream(server, stream, &streamed).ok());
  ASSERT_EQ(streamed.frames.size(), 2u);
  EXPECT_EQ(streamed.frames[0].first, 20u);  // as in one run of 30 steps
  EXPECT_EQ(streamed.frames[1].first, 30u);
  EXPECT_EQ(streamed.frames[1].second, whole.field().data());
  whole.clear_field();
  EXPECT_TRUE(MessageDifferencer::Equals(streamed.result, whole));
}

TEST(SnapshotRpc, ALargeOneComesInChunksAndGoesBackWhole) {
  TestServer server;
  SimulationRequest request = RequestOf(1024, 3);
  SimulationResult whole, result;
  ASSERT_TRUE(RunIt(server, request, &whole).ok());
  request.set_steps(2);
  request.set_include_snapshot(true);
  const grpc::Status refused = RunIt(server, request, &result);
  EXPECT_EQ(DetailsOf(refused).reason, "FIELD_TOO_LARGE");
  EXPECT_EQ(DetailsOf(refused).field, "include_snapshot");

  RunStreamRequest stream;
  *stream.mutable_simulation() = request;
  Streamed streamed;
  ASSERT_TRUE(RunStream(server, stream, &streamed).ok());
  EXPECT_FALSE(streamed.result.has_snapshot());
  SimulationRequest more;
  more.set_steps(1);
  ASSERT_TRUE(more.mutable_resume_from()->ParseFromString(streamed.snapshot));
  const grpc::Status status = RunIt(server, more, &result);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(MessageDifferencer::Equals(result, whole));
}

TEST(SnapshotRpc, AStreamsSnapshotIsThatOfAReply) {
  TestServer server;
  SimulationRequest request = RequestOf(24, 9);
  request.set_precision(mfn::v1::PRECISION_FAST);
  request.set_include_snapshot(true);
  SimulationResult result;
  ASSERT_TRUE(RunIt(server, request, &result).ok());
  RunStreamRequest stream;
  *stream.mutable_simulation() = request;
  Streamed streamed;
  ASSERT_TRUE(RunStream(server, stream, &streamed).ok());
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(streamed.snapshot));
  EXPECT_TRUE(MessageDifferencer::Equals(snapshot, result.snapshot()));
  EXPECT_EQ(result.engine_revision(), "mfn-4.1-f32-2");
}

TEST(SnapshotRpc, ErrorsNameThePartOfTheStreamsRequest) {
  TestServer server;
  RunStreamRequest stream;
  stream.mutable_simulation()->mutable_resume_from()->set_engine_revision("x");
  Streamed streamed;
  const grpc::Status status = RunStream(server, stream, &streamed);
  EXPECT_EQ(DetailsOf(status).field, "simulation.resume_from.config");
}

TEST(NpyRpc, FieldHistoryAndFramesHaveTheSameValues) {
  TestServer server;
  SimulationRequest request = RequestOf(400, 2);
  request.set_include_field(true);
  SimulationResult raw, npy;
  ASSERT_TRUE(RunIt(server, request, &raw).ok());
  request.set_field_encoding(mfn::v1::FIELD_ENCODING_NPY);
  ASSERT_TRUE(RunIt(server, request, &npy).ok());
  const auto array = engine::ParseNpy(npy.field().data());
  ASSERT_TRUE(array.ok()) << array.error().message;
  EXPECT_EQ(array->shape, (std::vector<int64_t>{400, 400}));
  EXPECT_EQ(array->data, raw.field().data());

  RunStreamRequest stream;
  *stream.mutable_simulation() = request;
  Streamed streamed;
  ASSERT_TRUE(RunStream(server, stream, &streamed).ok());
  ASSERT_EQ(streamed.frames.size(), 1u);  // of 1.28 MB: two chunks
  EXPECT_EQ(streamed.frames[0].second, npy.field().data());

  request = RequestOf(16, 5);
  request.set_include_history(true);
  request.set_field_encoding(mfn::v1::FIELD_ENCODING_NPY);
  ASSERT_TRUE(RunIt(server, request, &npy).ok());
  const auto history = engine::ParseNpy(npy.history().data());
  ASSERT_TRUE(history.ok()) << history.error().message;
  EXPECT_EQ(history->shape, (std::vector<int64_t>{5, 16, 16}));
}

}  // namespace
}  // namespace mfn::rpc
