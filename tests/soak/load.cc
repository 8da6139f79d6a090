// The gRPC half of the soak: a bounded rate of calls of every kind, each with the answer it must
// have.
//
//   soak_load ADDRESS SECONDS CALLS_PER_SECOND SEED [KIND]
//
// With KIND it makes calls of that kind only, which tells whose memory grows. Prints one JSON
// object: calls by kind, how many had another answer than they must have, and the first of those in
// words. Exits with 1 if there was one. Four threads, each with a call of its own; a slow server
// makes the rate smaller, never the queue longer.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "mfn/v1/analysis_service.grpc.pb.h"
#include "mfn/v1/connector_service.grpc.pb.h"
#include "mfn/v1/pipeline_service.grpc.pb.h"
#include "mfn/v1/plugin_service.grpc.pb.h"
#include "mfn/v1/simulation_service.grpc.pb.h"

namespace {

using Clock = std::chrono::steady_clock;
using grpc::StatusCode;
using namespace mfn::v1;  // NOLINT(google-build-using-namespace): a program that only makes calls

constexpr int kThreads = 4;

// What is sent, over one connection.
struct Client {
  explicit Client(const std::shared_ptr<grpc::Channel>& channel)
      : simulation(SimulationService::NewStub(channel)),
        analysis(AnalysisService::NewStub(channel)),
        plugins(PluginService::NewStub(channel)),
        connectors(ConnectorService::NewStub(channel)),
        pipelines(PipelineService::NewStub(channel)) {}
  std::unique_ptr<SimulationService::Stub> simulation;
  std::unique_ptr<AnalysisService::Stub> analysis;
  std::unique_ptr<PluginService::Stub> plugins;
  std::unique_ptr<ConnectorService::Stub> connectors;
  std::unique_ptr<PipelineService::Stub> pipelines;
};

// One call that is under way: its context with a bound, so that a hang is a failure.
struct Context : grpc::ClientContext {
  Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60)); }
};

// Empty: the answer was the right one.
using Outcome = std::string;

Outcome Expect(const grpc::Status& status, StatusCode code = StatusCode::OK) {
  if (status.error_code() == code) return "";
  return "status " + std::to_string(status.error_code()) + " instead of " + std::to_string(code) +
         ": " + status.error_message();
}

SimulationRequest Request(int grid, int64_t steps, uint64_t seed) {
  SimulationRequest request;
  request.set_grid_size(grid);
  request.set_steps(steps);
  request.set_seed(seed);
  return request;
}

Outcome Run(const Client& client, uint64_t k) {
  Context context;
  SimulationResult result;
  SimulationRequest request = Request(32, 32, k);
  request.set_request_id("soak-" + std::to_string(k));
  const Outcome outcome = Expect(client.simulation->Run(&context, request, &result));
  if (outcome.empty() && result.request_id() != request.request_id()) return "a stranger's result";
  return outcome;
}

Outcome RunWithField(const Client& client, uint64_t k) {
  Context context;
  SimulationResult result;
  SimulationRequest request = Request(256, 2, k);
  request.set_include_field(true);
  const Outcome outcome = Expect(client.simulation->Run(&context, request, &result));
  return outcome.empty() && result.field().data().size() != 8 * 256 * 256 ? "no field" : outcome;
}

Outcome RunStream(const Client& client, uint64_t k) {
  Context context;
  RunStreamRequest request;
  *request.mutable_simulation() = Request(64, 32, k);
  request.set_frame_interval(4);
  auto reader = client.simulation->RunStream(&context, request);
  RunStreamResponse event;
  int frames = 0;
  bool result = false;
  while (reader->Read(&event)) {
    frames += event.has_frame() && event.frame().last();
    result = event.has_result();
  }
  const Outcome outcome = Expect(reader->Finish());
  return outcome.empty() && (frames != 8 || !result) ? "an incomplete stream" : outcome;
}

Outcome RunMany(const Client& client, uint64_t k) {
  constexpr int kRequests = 6;
  Context context;
  auto stream = client.simulation->RunMany(&context);
  for (int n = 0; n < kRequests; ++n) {
    RunManyRequest request;
    // The last one is at fault, which must not end the stream.
    *request.mutable_simulation() = Request(n + 1 < kRequests ? 16 : 2, 16, k + n);
    stream->Write(request);
  }
  stream->WritesDone();
  RunManyResponse response;
  int ok = 0, error = 0;
  while (stream->Read(&response)) {
    ++(response.result().status() == SimulationResult::STATUS_OK ? ok : error);
  }
  const Outcome outcome = Expect(stream->Finish());
  return outcome.empty() && (ok != kRequests - 1 || error != 1) ? "results are missing" : outcome;
}

Outcome ExtractFeatures(const Client& client, uint64_t k) {
  Context context;
  ExtractFeaturesRequest request;
  ExtractFeaturesResponse response;
  std::vector<double> values(64 * 64);
  for (size_t n = 0; n < values.size(); ++n) values[n] = -0.07 + 1e-5 * ((n * 7 + k) % 100);
  Field* field = request.mutable_field();
  field->set_rows(64);
  field->set_cols(64);
  field->set_data(values.data(), values.size() * sizeof(double));
  return Expect(client.simulation->ExtractFeatures(&context, request, &response));
}

Outcome CancelUnary(const Client& client, uint64_t k) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1 + k % 5));
  SimulationResult result;
  return Expect(client.simulation->Run(&context, Request(512, 100000, k), &result),
                StatusCode::DEADLINE_EXCEEDED);
}

Outcome CancelStream(const Client& client, uint64_t k) {
  Context context;
  RunStreamRequest request;
  *request.mutable_simulation() = Request(128, 1000000, k);
  request.set_frame_interval(1);
  auto reader = client.simulation->RunStream(&context, request);
  RunStreamResponse event;
  for (uint64_t n = 0; n <= k % 3; ++n) {
    if (!reader->Read(&event)) return "a stream that ended at once";
  }
  context.TryCancel();
  while (reader->Read(&event)) {
  }
  return Expect(reader->Finish(), StatusCode::CANCELLED);
}

Outcome BreakRunMany(const Client& client, uint64_t k) {
  Context context;
  auto stream = client.simulation->RunMany(&context);
  RunManyRequest request;
  *request.mutable_simulation() = Request(256, 100000, k);
  stream->Write(request);
  context.TryCancel();
  return Expect(stream->Finish(), StatusCode::CANCELLED);
}

Outcome Refused(const Client& client, uint64_t k) {
  Context context;
  SimulationResult result;
  return Expect(client.simulation->Run(&context, Request(64, int64_t{1} << 40, k), &result),
                StatusCode::INVALID_ARGUMENT);
}

Outcome Lists(const Client& client, uint64_t /*k*/) {
  Context plugins, connectors, pipelines;
  ListPluginsResponse plugin_page;
  ListConnectorsResponse connector_page;
  ListPipelinesResponse pipeline_page;
  Outcome outcome = Expect(client.plugins->ListPlugins(&plugins, {}, &plugin_page));
  if (!outcome.empty()) return outcome;
  outcome = Expect(client.connectors->ListConnectors(&connectors, {}, &connector_page));
  if (!outcome.empty()) return outcome;
  return Expect(client.pipelines->ListPipelines(&pipelines, {}, &pipeline_page));
}

Outcome Analysis(const Client& client, uint64_t k) {
  Context context;
  GenerateIfsRequest request;
  GenerateIfsResponse response;
  request.set_seed(k);
  request.set_num_points(1000);
  return Expect(client.analysis->GenerateIfs(&context, request, &response));
}

// Makes an instance, uses it and forgets it.
Outcome Connector(const Client& client, uint64_t k) {
  const std::string id = "soak-" + std::to_string(k);
  CreateConnectorRequest create;
  create.set_connector_id(id);
  create.set_request_id(id);
  create.mutable_connector()->set_role(Connector::ROLE_PUBLISHER);
  create.mutable_connector()->set_type("memory");
  auto* fields = create.mutable_connector()->mutable_config_data()->mutable_fields();
  // A few: the plugin keeps queues for ever, as a broker would.
  (*fields)["queue"].set_string_value("soak-" + std::to_string(k % 8));
  Context creating, checking, deleting;
  mfn::v1::Connector made;
  Outcome outcome = Expect(client.connectors->CreateConnector(&creating, create, &made));
  if (!outcome.empty()) return "create: " + outcome;
  CheckConnectorRequest check;
  CheckConnectorResponse checked;
  check.set_name("connectors/" + id);
  outcome = Expect(client.connectors->CheckConnector(&checking, check, &checked));
  if (!outcome.empty()) return "check: " + outcome;
  DeleteConnectorRequest forget;
  DeleteConnectorResponse forgotten;
  forget.set_name("connectors/" + id);
  return Expect(client.connectors->DeleteConnector(&deleting, forget, &forgotten));
}

// Removes what the pipeline could not process, so that the store stays small.
Outcome DeadLetters(const Client& client, uint64_t k) {
  Context listing;
  ListDeadLettersRequest list;
  ListDeadLettersResponse page;
  list.set_parent(k % 2 == 0 ? "pipelines/soak" : "pipelines/single");
  Outcome outcome = Expect(client.pipelines->ListDeadLetters(&listing, list, &page));
  if (!outcome.empty()) return outcome;
  for (const DeadLetter& letter : page.dead_letters()) {
    Context context;
    DiscardDeadLetterRequest discard;
    DiscardDeadLetterResponse discarded;
    discard.set_name(letter.name());
    const grpc::Status status = client.pipelines->DiscardDeadLetter(&context, discard, &discarded);
    // Another thread may have been faster.
    if (status.error_code() != StatusCode::NOT_FOUND && !status.ok()) return Expect(status);
  }
  return "";
}

struct Kind {
  const char* name;
  int weight;
  Outcome (*call)(const Client& client, uint64_t k);
};

constexpr std::array<Kind, 13> kKinds = {{{"run", 40, Run},
                                          {"run_field", 4, RunWithField},
                                          {"run_stream", 10, RunStream},
                                          {"run_many", 8, RunMany},
                                          {"extract_features", 8, ExtractFeatures},
                                          {"cancel_unary", 5, CancelUnary},
                                          {"cancel_stream", 5, CancelStream},
                                          {"cancel_many", 3, BreakRunMany},
                                          {"refused", 5, Refused},
                                          {"lists", 5, Lists},
                                          {"analysis", 4, Analysis},
                                          {"connector", 2, Connector},
                                          {"dead_letters", 2, DeadLetters}}};

struct Tally {
  std::array<std::atomic<int64_t>, kKinds.size()> calls{};
  std::array<std::atomic<int64_t>, kKinds.size()> failed{};
  std::mutex mutex;
  std::string first_failure;
};

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // Else a new channel would share the connection of the old one.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void Work(const std::string& address, int thread, double rate, Clock::time_point start,
          Clock::time_point end, uint64_t seed, const std::string& only, Tally* tally) {
  std::mt19937_64 random(seed + static_cast<uint64_t>(thread));
  std::vector<int> weights;
  for (const Kind& kind : kKinds) {
    weights.push_back(only.empty() || only == kind.name ? kind.weight : 0);
  }
  std::discrete_distribution<size_t> pick(weights.begin(), weights.end());
  const auto interval =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kThreads / rate));
  auto client = std::make_unique<Client>(Connect(address));
  auto next = start + interval * thread / kThreads;
  for (uint64_t n = 0; (next = std::max(next + interval, Clock::now())) < end; ++n) {
    std::this_thread::sleep_until(next);
    // A connection lives for 200 calls, so that connections come and go as well.
    if (n % 200 == 199) client = std::make_unique<Client>(Connect(address));
    const size_t kind = pick(random);
    const uint64_t k = (seed << 32) + n * kThreads + static_cast<uint64_t>(thread);
    const Outcome outcome = kKinds[kind].call(*client, k);
    ++tally->calls[kind];
    if (outcome.empty()) continue;
    ++tally->failed[kind];
    const std::lock_guard lock(tally->mutex);
    if (tally->first_failure.empty()) {
      tally->first_failure = std::string(kKinds[kind].name) + ": " + outcome;
    }
  }
}

void PrintString(const std::string& text) {
  std::putchar('"');
  for (const char c : text) std::putchar(c == '"' || c == '\\' || c < ' ' ? '\'' : c);
  std::putchar('"');
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: soak_load ADDRESS SECONDS CALLS_PER_SECOND SEED [KIND]\n");
    return 2;
  }
  const auto start = Clock::now();
  const auto end = start + std::chrono::milliseconds(std::lround(1000 * std::atof(argv[2])));
  const double rate = std::atof(argv[3]);
  Tally tally;
  std::vector<std::thread> threads;
  for (int k = 0; k < kThreads; ++k) {
    threads.emplace_back(Work, argv[1], k, rate, start, end, std::strtoull(argv[4], nullptr, 10),
                         argc > 5 ? argv[5] : "", &tally);
  }
  for (std::thread& thread : threads) thread.join();
  int64_t calls = 0, failed = 0;
  std::printf("{");
  for (size_t k = 0; k < kKinds.size(); ++k) {
    calls += tally.calls[k];
    failed += tally.failed[k];
    std::printf("\"%s\": %lld, ", kKinds[k].name, static_cast<long long>(tally.calls[k]));
  }
  std::printf("\"calls\": %lld, \"failed\": %lld, \"first_failure\": ",
              static_cast<long long>(calls), static_cast<long long>(failed));
  PrintString(tally.first_failure);
  std::printf("}\n");
  return failed == 0 ? 0 : 1;
}
