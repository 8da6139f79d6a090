// The HTTP side as a scraper and an orchestrator see it, over a real socket.
#include "server/observability/http_listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mfn::observability {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// What comes back for a request line and headers, until the connection ends.
std::string Ask(const std::string& address, const std::string& request) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  const std::string text = request + "Host: x\r\n\r\n";
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  std::string reply;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    reply.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return reply;
}

std::unique_ptr<HttpListener> Listen(std::vector<std::string> keys = {},
                                     std::vector<ReadinessCheck> checks = {}) {
  HttpListener::Options options;
  options.listen = "127.0.0.1:0";
  options.api_keys = std::move(keys);
  HttpListener::Hooks hooks;
  hooks.collect = [](MetricSet* out) { out->Gauge("answer", "Of all.", {}, 42); };
  hooks.checks = [checks = std::move(checks)] { return checks; };
  auto http = HttpListener::Start(options, std::move(hooks));
  EXPECT_TRUE(http.ok()) << http.status();
  return *std::move(http);
}

TEST(HttpListener, ServesMetrics) {
  const auto http = Listen();
  const std::string reply = Ask(http->address(), "GET /metrics HTTP/1.1\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(reply, HasSubstr("# HELP answer Of all.\n# TYPE answer gauge\nanswer 42\n"));
}

TEST(HttpListener, ReadinessSaysWhatFails) {
  const auto ready = Listen({}, {{"store", true, ""}});
  EXPECT_THAT(Ask(ready->address(), "GET /readyz HTTP/1.1\r\n"), StartsWith("HTTP/1.1 200"));
  const auto draining = Listen({}, {{"store", true, ""}, {"serving", false, "say \"bye\""}});
  const std::string reply = Ask(draining->address(), "GET /readyz HTTP/1.1\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 503"));
  const auto body = nlohmann::json::parse(reply.substr(reply.find("\r\n\r\n") + 4));
  EXPECT_EQ(body["ready"], false);
  EXPECT_EQ(body["checks"][0]["ok"], true);
  EXPECT_EQ(body["checks"][1]["message"], "say \"bye\"");
  EXPECT_THAT(Ask(draining->address(), "GET /healthz HTTP/1.1\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpListener, OnlyMetricsWantAKey) {
  const auto http = Listen({"first", "second"});
  const std::string get = "GET /metrics HTTP/1.1\r\n";
  EXPECT_THAT(Ask(http->address(), get), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(Ask(http->address(), get + "X-Api-Key: secon\r\n"), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(Ask(http->address(), get + "Authorization: second\r\n"), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(Ask(http->address(), get + "X-Api-Key: second\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(http->address(), get + "Authorization: Bearer first\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(http->address(), "GET /readyz HTTP/1.1\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpListener, RefusesWhatItDoesNotKnow) {
  const auto http = Listen();
  EXPECT_THAT(Ask(http->address(), "GET /etc/passwd HTTP/1.1\r\n"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask(http->address(), "GET /metrics/../x HTTP/1.1\r\n"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask(http->address(), "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n"),
              StartsWith("HTTP/1.1 405"));
  const std::string head = Ask(http->address(), "HEAD /metrics HTTP/1.1\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(head, testing::EndsWith("\r\n\r\n"));
}

TEST(HttpListener, ATakenPortIsAnErrorThatSaysSo) {
  const auto http = Listen();
  HttpListener::Options options;
  options.listen = http->address();
  const auto second = HttpListener::Start(options, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(http->address()));
}

}  // namespace
}  // namespace mfn::observability
