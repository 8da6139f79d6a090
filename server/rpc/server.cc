#include "server/rpc/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.pb.h"
#include "server/base/log.h"
#include "server/pipeline/cores_of_process.h"
#include "server/rpc/access.h"
#include "server/rpc/analysis_service.h"
#include "server/rpc/call_runner.h"
#include "server/rpc/connector_service.h"
#include "server/rpc/live_stream.h"
#include "server/rpc/pipeline_service.h"
#include "server/rpc/plugin_service.h"
#include "server/rpc/request_cache.h"
#include "server/rpc/simulation_service.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

// An initial field of the largest grid takes 8 MiB.
// A snapshot of the largest grid takes 24 MiB.
constexpr int kMaxRequestBytes = 32 << 20;
// What gRPC's own buffers may take, all connections together.
constexpr size_t kMaxBufferBytes = size_t{512} << 20;
constexpr int kMaxStreamsPerConnection = 1024;
// A client that is gone without a word is noticed after both together.
constexpr int kKeepAliveMillis = 60'000;
constexpr int kKeepAliveTimeoutMillis = 20'000;

absl::StatusOr<std::string> ReadFile(const std::string& path, absl::string_view what) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in && !text.empty()) return text;
  return absl::InvalidArgumentError(
      absl::StrCat("server.tls.", what, ": cannot read ", path, ", or it is empty"));
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const TlsConfig& tls) {
  if (tls.cert_file.empty()) return grpc::InsecureServerCredentials();
  auto cert = ReadFile(tls.cert_file, "cert");
  if (!cert.ok()) return cert.status();
  auto key = ReadFile(tls.key_file, "key");
  if (!key.ok()) return key.status();
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({*key, *cert});
  if (!tls.client_ca_file.empty()) {
    auto ca = ReadFile(tls.client_ca_file, "client_ca");
    if (!ca.ok()) return ca.status();
    options.pem_root_certs = *ca;
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(options);
}

absl::Status CheckExposure(const ServerConfig& config) {
  const bool keys = config.api_key_required && !config.api_keys.empty();
  if (config.api_key_required && config.api_keys.empty()) {
    return absl::FailedPreconditionError(
        "server.api_key_required is true, but server.api_keys is empty: nobody could call");
  }
  if (IsLoopback(config.listen) || keys || !config.tls.cert_file.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("server.listen is ", config.listen,
                   ", which other machines can reach: set server.api_keys with "
                   "api_key_required, or server.tls, or listen on 127.0.0.1"));
}

// What an operator spares for other work is not lent either.
void LimitCores(const ServerConfig& config) {
  if (config.max_concurrent_simulations == 0) return;
  pipeline::CoresOfProcess().Limit(static_cast<size_t>(config.max_concurrent_simulations));
}

CallRunner::Options CallOptions(const ServerConfig& config, Access* access, Clock* clock) {
  CallRunner::Options options;
  options.access = access;
  options.clock = clock;
  options.simulation_threads = config.max_concurrent_simulations;
  options.stall_timeout = config.stream_stall_timeout;
  options.access_log = config.log.access;
  return options;
}

// What the gRPC library has to say goes where our own words go.
void LogGrpc(gpr_log_func_args* args) {
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kWarning
                         : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  Log(level, "grpc", args->message);
}

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerConfig& config, const Parts& parts)
      : config_(config),
        access_(config, parts.clock),
        requests_(parts.clock),
        calls_(CallOptions(config, &access_, parts.clock)),
        streams_(parts.clock) {
    LimitCores(config);
    services_.push_back(MakeSimulationService(&calls_));
    services_.push_back(MakeAnalysisService(&calls_));
    services_.push_back(MakePluginService(&calls_, parts.registry));
    services_.push_back(MakeConnectorService(
        {&calls_, parts.catalogue, parts.registry, &requests_, &streams_, config.drain_timeout}));
    services_.push_back(MakePipelineService({&calls_, parts.catalogue, parts.pipelines, parts.store,
                                             &requests_, &streams_, config.drain_timeout}));
  }

  ~GrpcServer() override { Shutdown(absl::ZeroDuration()); }

  absl::Status Listen() {
    auto credentials = Credentials(config_.tls);
    if (!credentials.ok()) return credentials.status();
    gpr_set_log_function(LogGrpc);
    grpc::EnableDefaultHealthCheckService(true);
    // Links the description that reflection gives of it.
    grpc::health::v1::HealthCheckRequest::descriptor();
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    builder.AddListeningPort(config_.listen, *credentials, &port_);
    builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
    builder.SetMaxSendMessageSize(kMaxRequestBytes);
    // A second server on the same port is an error, not a way to share it.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepAliveMillis);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepAliveTimeoutMillis);
    grpc::ResourceQuota quota("mfnd");
    quota.Resize(kMaxBufferBytes);
    builder.SetResourceQuota(quota);
    for (const auto& service : services_) builder.RegisterService(service.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot listen on ", config_.listen,
                       " (server.listen): is another process using it, or is it no address of "
                       "this machine, or is a TLS file bad?"));
    }
    SetHealth(false);
    return absl::OkStatus();
  }

  std::string address() const override {
    if (absl::StartsWith(config_.listen, "unix:")) return config_.listen;
    return absl::StrCat(config_.listen.substr(0, config_.listen.rfind(':') + 1), port_);
  }
  int port() const override { return absl::StartsWith(config_.listen, "unix:") ? 0 : port_; }

  void Collect(MetricSet* out) const override { calls_.Collect(out); }

  void SetHealth(bool serving) override {
    server_->GetHealthCheckService()->SetServingStatus(serving);
  }

  void Shutdown(absl::Duration bound) override {
    if (server_ == nullptr || shut_down_) return;
    shut_down_ = true;
    streams_.EndAll(Error(absl::StatusCode::kUnavailable, "SERVER_STOPPING", "the server stops"));
    server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(bound));
    server_->Wait();
  }

 private:
  const ServerConfig config_;
  Access access_;
  RequestCache requests_;
  CallRunner calls_;
  LiveStreams streams_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;  // destroyed before the services
  int port_ = 0;
  bool shut_down_ = false;
};

}  // namespace

bool IsLoopback(const std::string& listen) {
  for (const char* prefix : {"unix:", "[::1]:", "localhost:"}) {
    if (absl::StartsWith(listen, prefix)) return true;
  }
  // A name may start with 127. as well, so the rest must be digits.
  return absl::StartsWith(listen, "127.") &&
         listen.find_first_not_of("0123456789.:") == std::string::npos;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                                      const Parts& parts) {
  if (absl::Status s = CheckExposure(config); !s.ok()) return s;
  auto server = std::make_unique<GrpcServer>(config, parts);
  if (absl::Status s = server->Listen(); !s.ok()) return s;
  return server;
}

}  // namespace mfn::rpc
