// For tests: the stateless services behind a real socket, and what a client reads from an error.
#ifndef MFN_SERVER_RPC_TEST_SERVER_H_
#define MFN_SERVER_RPC_TEST_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/rpc/access.h"
#include "server/rpc/call_runner.h"

namespace mfn::rpc {

// SimulationService and AnalysisService on a free port of 127.0.0.1.
class TestServer {
 public:
  explicit TestServer(const ServerConfig& config = {}, Clock* clock = Clock::Real(),
                      CallRunner::Options options = {});
  ~TestServer();

  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  CallRunner& calls() { return *calls_; }

 private:
  Access access_;
  std::unique_ptr<CallRunner> calls_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// What the details of an error say; empty where there is none.
struct ErrorDetails {
  std::string reason, domain;
  std::string field;  // of the first BadRequest violation
  double retry_seconds = 0;
};
ErrorDetails DetailsOf(const grpc::Status& status);

// Polls until the condition holds; fails the running test after 10 s.
void WaitUntil(const std::function<bool()>& condition, const char* what);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_TEST_SERVER_H_
