// civetweb, which prometheus-cpp's own exposer is built on. The exposer itself can neither ask for
// a key nor serve other paths, so it is not used.
#include "server/observability/http_listener.h"

#include <civetweb.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/base/log.h"
#include "server/base/secrets.h"
#include "server/observability/prometheus_text.h"

namespace mfn::observability {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kJson[] = "application/json";

struct Reply {
  int code = 200;
  const char* type = kJson;
  std::string body;
};

const char* Reason(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
  }
  return "Internal Server Error";
}

Reply Problem(int code, const char* message) {
  return {code, kJson, absl::StrCat(Json{{"error", message}}.dump(), "\n")};
}

Reply Readiness(const std::vector<ReadinessCheck>& checks) {
  Json body;
  body["ready"] = true;
  body["checks"] = Json::array();
  for (const ReadinessCheck& check : checks) {
    Json one;
    one["name"] = check.name;
    one["ok"] = check.ok;
    if (!check.message.empty()) one["message"] = check.message;
    body["checks"].push_back(std::move(one));
    if (!check.ok) body["ready"] = false;
  }
  const bool ready = body["ready"];
  return {ready ? 200 : 503, kJson,
          absl::StrCat(body.dump(-1, ' ', true, Json::error_handler_t::replace), "\n")};
}

int LogCivetweb(const mg_connection*, const char* message) {
  Log(LogLevel::kWarning, "http", message);
  return 1;  // ours; nothing to a file
}

class CivetListener final : public HttpListener {
 public:
  CivetListener(const Options& options, Hooks hooks)
      : options_(options), hooks_(std::move(hooks)) {}

  ~CivetListener() override {
    if (context_ == nullptr) return;
    // civetweb looks for its end every two seconds, or when somebody connects.
    std::atomic<bool> stopped{false};
    std::thread nudge([&] {
      while (!stopped) {
        if (mg_connection* own = mg_connect_client(host_.c_str(), port_, 0, nullptr, 0)) {
          mg_close_connection(own);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    mg_stop(context_);
    stopped = true;
    nudge.join();
    mg_exit_library();
  }

  absl::Status Listen() {
    std::string address = options_.listen;
    if (absl::StartsWith(address, "localhost:")) address.replace(0, 9, "127.0.0.1");
    const char* settings[] = {"listening_ports",
                              address.c_str(),
                              "num_threads",
                              "4",
                              "request_timeout_ms",
                              "5000",
                              "enable_keep_alive",
                              "no",
                              nullptr};
    mg_callbacks callbacks;
    std::memset(&callbacks, 0, sizeof(callbacks));
    callbacks.log_message = LogCivetweb;
    mg_init_library(0);
    context_ = mg_start(&callbacks, this, settings);
    if (context_ == nullptr) {
      mg_exit_library();
      return absl::FailedPreconditionError(
          absl::StrCat("cannot listen on ", options_.listen,
                       " (server.http.listen): is another process using it, or is it no address "
                       "of this machine?"));
    }
    mg_server_port port;
    if (mg_get_server_ports(context_, 1, &port) == 1) port_ = port.port;
    host_ = address.substr(0, address.rfind(':'));
    if (absl::StartsWith(host_, "[")) host_ = host_.substr(1, host_.size() - 2);
    mg_set_request_handler(context_, "**", Handle, this);
    return absl::OkStatus();
  }

  std::string address() const override {
    return absl::StrCat(options_.listen.substr(0, options_.listen.rfind(':') + 1), port_);
  }

 private:
  static int Handle(mg_connection* connection, void* self) {
    const auto* listener = static_cast<CivetListener*>(self);
    const mg_request_info* request = mg_get_request_info(connection);
    const absl::string_view method = request->request_method;
    Reply reply;
    try {
      reply = method == "GET" || method == "HEAD" ? listener->Answer(connection, request->local_uri)
                                                  : Problem(405, "only GET");
    } catch (const std::exception&) {  // above all, out of memory
      reply = {500, kJson, "{\"error\":\"the request failed inside the server\"}\n"};
    }
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
              "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
              reply.code, Reason(reply.code), reply.type, reply.body.size());
    if (method != "HEAD") mg_write(connection, reply.body.data(), reply.body.size());
    return reply.code;
  }

  Reply Answer(const mg_connection* connection, absl::string_view path) const {
    if (path == "/healthz") return {200, kJson, "{\"alive\":true}\n"};
    if (path == "/readyz") return Readiness(hooks_.checks());
    if (path != "/metrics") return Problem(404, "there are /metrics, /healthz and /readyz");
    if (!MayScrape(connection)) {
      return Problem(401, "an API key is needed: x-api-key, or authorization: Bearer");
    }
    MetricSet set;
    hooks_.collect(&set);
    return {200, kPrometheusContentType, PrometheusText(set)};
  }

  bool MayScrape(const mg_connection* connection) const {
    if (options_.api_keys.empty()) return true;
    absl::string_view given;
    if (const char* header = mg_get_header(connection, "x-api-key")) given = header;
    if (const char* header = mg_get_header(connection, "authorization"); header && given.empty()) {
      given = header;
      if (!absl::ConsumePrefix(&given, "Bearer ")) given = "";
    }
    bool known = false;
    // All keys are compared, so that time does not tell which one matched.
    for (const std::string& key : options_.api_keys) known |= ConstantTimeEquals(given, key);
    return known;
  }

  const Options options_;
  const Hooks hooks_;
  mg_context* context_ = nullptr;
  std::string host_;  // without brackets
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpListener>> HttpListener::Start(const Options& options,
                                                                  Hooks hooks) {
  auto listener = std::make_unique<CivetListener>(options, std::move(hooks));
  if (absl::Status s = listener->Listen(); !s.ok()) return s;
  return listener;
}

}  // namespace mfn::observability
