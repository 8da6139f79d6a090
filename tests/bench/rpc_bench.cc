// The two ends of the unary benchmark, as one program in two roles so that both servers and both
// loads are made the same way.
//
//   rpc_bench serve PORT_FILE REPLY_BYTES          a bare echo server on a free port
//   rpc_bench load ADDRESS echo|run CALLS STREAMS  a closed loop of CALLS calls, STREAMS at a time;
//                                                  prints calls per second and the reply's bytes
//
// `run` asks mfnd for its smallest simulation (4 x 4, 1 step), so that what is compared is the call
// and not the engine. run.py pins the roles to different cores.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "echo.grpc.pb.h"
#include "mfn/v1/simulation_service.grpc.pb.h"

namespace {

class EchoServer final : public mfn::bench::Echo::CallbackService {
 public:
  explicit EchoServer(size_t reply_bytes) : reply_(reply_bytes, 'x') {}

  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context,
                                 const mfn::bench::Blob* /*request*/,
                                 mfn::bench::Blob* reply) override {
    reply->set_data(reply_);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const std::string reply_;
};

int Serve(const std::string& port_file, size_t reply_bytes) {
  EchoServer service(reply_bytes);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::ofstream(port_file) << port << std::flush;
  server->Wait();
  return 0;
}

// One call; the reply's size in bytes, or 0 when it failed.
using CallOnce = size_t (*)(const std::shared_ptr<grpc::Channel>& channel);

size_t CallEcho(const std::shared_ptr<grpc::Channel>& channel) {
  thread_local auto stub = mfn::bench::Echo::NewStub(channel);
  grpc::ClientContext context;
  mfn::bench::Blob request, reply;
  request.set_data("0123456789");
  return stub->Call(&context, request, &reply).ok() ? reply.ByteSizeLong() : 0;
}

size_t CallRun(const std::shared_ptr<grpc::Channel>& channel) {
  thread_local auto stub = mfn::v1::SimulationService::NewStub(channel);
  grpc::ClientContext context;
  mfn::v1::SimulationRequest request;
  request.set_grid_size(4);
  request.set_steps(1);
  request.set_seed(42);
  mfn::v1::SimulationResult reply;
  return stub->Run(&context, request, &reply).ok() ? reply.ByteSizeLong() : 0;
}

int Load(const std::string& address, CallOnce call, int calls, int streams) {
  auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  std::atomic<int> left{calls};
  std::atomic<size_t> bytes{0};
  std::atomic<int> failed{0};
  if (call(channel) == 0) {
    std::fprintf(stderr, "rpc_bench: the first call to %s failed\n", address.c_str());
    return 1;
  }
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int k = 0; k < streams; ++k) {
    threads.emplace_back([&] {
      while (left.fetch_sub(1) > 0) {
        const size_t size = call(channel);
        if (size == 0) ++failed;
        bytes = size;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%.1f %zu\n", calls / seconds.count(), bytes.load());
  if (failed > 0) std::fprintf(stderr, "rpc_bench: %d calls failed\n", failed.load());
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  if (role == "serve" && argc == 4) return Serve(argv[2], std::strtoul(argv[3], nullptr, 10));
  if (role == "load" && argc == 6) {
    const CallOnce call = std::string(argv[3]) == "run" ? CallRun : CallEcho;
    return Load(argv[2], call, std::atoi(argv[4]), std::atoi(argv[5]));
  }
  std::fprintf(stderr,
               "usage: rpc_bench serve PORT_FILE REPLY_BYTES\n"
               "       rpc_bench load ADDRESS echo|run CALLS STREAMS\n");
  return 2;
}
