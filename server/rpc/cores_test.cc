// Idle cores help with one large request; many of them start no threads of their own.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "mfn/v1/simulation_service.grpc.pb.h"
#include "server/engine/run.h"
#include "server/pipeline/cores_of_process.h"
#include "server/rpc/test_server.h"

namespace mfn::rpc {
namespace {

using mfn::v1::SimulationRequest;
using mfn::v1::SimulationResult;
using mfn::v1::SimulationService;

SimulationRequest RequestOf(int grid_size, int64_t steps) {
  SimulationRequest request;
  request.set_seed(11);
  request.set_grid_size(grid_size);
  request.set_steps(steps);
  return request;
}

int ThreadsOfThisProcess() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    count += entry.exists() ? 1 : 0;
  }
  return count;
}

// One stream of `count` equal requests; false if a result differs from `expected`.
bool RunMany(const TestServer& server, const SimulationRequest& request, int count,
             const SimulationResult* expected, int* most_threads) {
  grpc::ClientContext context;
  auto stream = SimulationService::NewStub(server.channel())->RunMany(&context);
  mfn::v1::RunManyRequest one;
  *one.mutable_simulation() = request;
  bool same = true;
  int read = 0;
  for (int sent = 0; read < count;) {
    // Enough to keep every core busy, and no more than the server reads ahead.
    if (sent < count && sent - read < 4) {
      if (!stream->Write(one)) return false;
      if (++sent == count) stream->WritesDone();
      continue;
    }
    mfn::v1::RunManyResponse response;
    if (!stream->Read(&response)) return false;
    ++read;
    *most_threads = std::max(*most_threads, ThreadsOfThisProcess());
    response.mutable_result()->clear_timing();
    same = same && (expected == nullptr ||
                    response.result().SerializeAsString() == expected->SerializeAsString());
  }
  return stream->Finish().ok() && same;
}

TEST(CoresRpc, OneLargeRequestUsesIdleCoresAndGivesTheSameResult) {
  engine::Cores& cores = pipeline::CoresOfProcess();
  TestServer server;
  SimulationRequest request = RequestOf(512, 24);
  request.set_include_field(true);
  const uint64_t loans = cores.loans();
  SimulationResult result;
  grpc::ClientContext context;
  ASSERT_TRUE(SimulationService::NewStub(server.channel())->Run(&context, request, &result).ok());
  if (cores.count() > 1) {
    EXPECT_GT(cores.loans(), loans);
  }

  engine::SimulationConfig config;
  config.grid_size = 512;
  config.steps = 24;
  config.seed = engine::Seed(11);
  engine::RunOptions options;
  options.features.emplace();
  const auto alone = engine::RunSimulation(config, options);
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(result.field().data(),
            std::string(reinterpret_cast<const char*>(alone->field.data()), 512 * 512 * 8));
  EXPECT_EQ(result.features().dv_mean(), alone->features->dv_mean);
  EXPECT_EQ(result.features().dv_max(), alone->features->dv_max);
  EXPECT_EQ(result.features().e_trend(), alone->features->e_trend);
}

TEST(CoresRpc, ManyLargeRequestsShareTheSameHelpers) {
  TestServer server;
  SimulationResult expected;
  grpc::ClientContext context;
  ASSERT_TRUE(SimulationService::NewStub(server.channel())
                  ->Run(&context, RequestOf(256, 12), &expected)
                  .ok());
  expected.clear_timing();
  int threads = 0, most_threads = 0;
  ASSERT_TRUE(RunMany(server, RequestOf(16, 4), 16, nullptr, &threads));  // all pools have started
  EXPECT_TRUE(RunMany(server, RequestOf(256, 12), 24, &expected, &most_threads));
  EXPECT_LE(most_threads, threads + static_cast<int>(pipeline::CoresOfProcess().count()) + 2);
}

}  // namespace
}  // namespace mfn::rpc
