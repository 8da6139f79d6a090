// Many calls at once, for scenarios: what a server of thousands of clients sees.
//
//   burst ADDRESS unary CALLS GRID STEPS     CALLS simulations, all under way at the same time
//   burst ADDRESS stream CALLS GRID STEPS    CALLS streams with a frame a step; each reads one
//   event
//                                            and then nothing until standard input ends, then all
//                                            of them go on to their end
//
// Prints "open" when every stream has had its first event, and at the end one JSON object: how many
// ended with OK, how many with each other status, and the first of those in words.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mfn/v1/simulation_service.grpc.pb.h"

namespace {

using mfn::v1::SimulationService;

// Counts how the calls end.
class Tally {
 public:
  explicit Tally(int calls) : left_(calls) {}

  void Add(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    ++codes_[status.error_code()];
    if (!status.ok() && message_.empty()) message_ = status.error_message();
    if (--left_ == 0) done_.notify_all();
  }

  void Wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
  }

  void Print() const {
    std::printf("{\"codes\": {");
    const char* comma = "";
    for (const auto& [code, count] : codes_) {
      std::printf("%s\"%d\": %d", comma, static_cast<int>(code), count);
      comma = ", ";
    }
    std::printf("}, \"message\": \"");
    for (const char c : message_) std::putchar(c == '"' || c == '\\' || c < ' ' ? '\'' : c);
    std::printf("\"}\n");
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  int left_;
  std::map<grpc::StatusCode, int> codes_;
  std::string message_;
};

mfn::v1::SimulationRequest Request(char** argv, int k) {
  mfn::v1::SimulationRequest request;
  request.set_grid_size(std::atoi(argv[0]));
  request.set_steps(std::atoll(argv[1]));
  request.set_seed(static_cast<uint64_t>(k));
  return request;
}

struct Unary {
  grpc::ClientContext context;
  mfn::v1::SimulationRequest request;
  mfn::v1::SimulationResult result;
};

void RunUnary(const std::shared_ptr<grpc::Channel>& channel, int calls, char** argv) {
  auto stub = SimulationService::NewStub(channel);
  Tally tally(calls);
  std::vector<Unary> all(static_cast<size_t>(calls));
  for (int k = 0; k < calls; ++k) {
    Unary& call = all[static_cast<size_t>(k)];
    call.request = Request(argv, k);
    stub->async()->Run(&call.context, &call.request, &call.result,
                       [&tally](const grpc::Status& status) { tally.Add(status); });
  }
  tally.Wait();
  tally.Print();
}

class Stream final : public grpc::ClientReadReactor<mfn::v1::RunStreamResponse> {
 public:
  Stream(SimulationService::Stub* stub, const mfn::v1::RunStreamRequest& request, Tally* opened,
         Tally* ended)
      : request_(request), opened_(opened), ended_(ended) {
    stub->async()->RunStream(&context_, &request_, this);
    AddHold();  // for the reads that come later
    StartRead(&event_);
    StartCall();
  }

  // Reads to the end.
  void GoOn() {
    going_on_ = true;
    StartRead(&event_);
    RemoveHold();
  }

  void OnReadDone(bool ok) override {
    if (!first_.exchange(true)) opened_->Add(grpc::Status::OK);
    if (ok && going_on_) StartRead(&event_);
  }
  void OnDone(const grpc::Status& status) override { ended_->Add(status); }

 private:
  const mfn::v1::RunStreamRequest request_;
  Tally* const opened_;
  Tally* const ended_;
  grpc::ClientContext context_;
  mfn::v1::RunStreamResponse event_;
  std::atomic<bool> first_ = false, going_on_ = false;
};

void RunStreams(const std::shared_ptr<grpc::Channel>& channel, int calls, char** argv) {
  auto stub = SimulationService::NewStub(channel);
  Tally opened(calls), ended(calls);
  std::vector<std::unique_ptr<Stream>> all;
  for (int k = 0; k < calls; ++k) {
    mfn::v1::RunStreamRequest request;
    *request.mutable_simulation() = Request(argv, k);
    request.set_frame_interval(1);
    all.push_back(std::make_unique<Stream>(stub.get(), request, &opened, &ended));
  }
  opened.Wait();
  std::printf("open\n");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  for (const auto& stream : all) stream->GoOn();
  ended.Wait();
  ended.Print();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 6 ? argv[2] : "";
  if (what != "unary" && what != "stream") {
    std::fprintf(stderr, "usage: burst ADDRESS unary|stream CALLS GRID STEPS\n");
    return 2;
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  const auto channel =
      grpc::CreateCustomChannel(argv[1], grpc::InsecureChannelCredentials(), arguments);
  (what == "unary" ? RunUnary : RunStreams)(channel, std::atoi(argv[3]), argv + 4);
  return 0;
}
