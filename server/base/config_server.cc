// The server section and the environment variables that bear on it.
#include <arpa/inet.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/config_fields.h"
#include "server/base/config_normalise.h"

namespace mfn {
namespace {

using nlohmann::json;

void Report(Problems* problems, std::string path, std::string what) {
  problems->push_back(
      {.path = std::move(path), .what = std::move(what), .at_key = false, .at = {}});
}

// Not in any file: shown without a line.
void ReportVariable(Problems* problems, absl::string_view name, std::string what) {
  problems->push_back({.path = absl::StrCat("environment variable ", name),
                       .what = std::move(what),
                       .at_key = false,
                       .at = Position{}});
}

// What the environment says; a variable that is unset or empty says nothing.
struct Environment {
  bool guarded = false;  // MFN_ENV is staging or prod: keys and limits are on by default
  bool development = false;
  std::vector<std::string> api_keys;
  std::optional<bool> api_key_required;
  std::optional<bool> rate_limit_enabled;
};

std::optional<bool> BoolVariable(const EnvLookup& env, const char* name, Problems* problems) {
  const std::string word = absl::AsciiStrToLower(env(name).value_or(""));
  if (word.empty()) return std::nullopt;
  for (const char* yes : {"true", "1", "yes", "on"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"false", "0", "no", "off"}) {
    if (word == no) return false;
  }
  ReportVariable(problems, name, "expected true, 1, yes, false, 0 or no");
  return std::nullopt;
}

Environment ReadEnvironment(const EnvLookup& env, Problems* problems) {
  Environment environment;
  if (!env) return environment;
  const std::string stage = absl::AsciiStrToLower(env("MFN_ENV").value_or(""));
  environment.guarded = stage == "staging" || stage == "prod" || stage == "production";
  environment.development = stage == "dev" || stage == "development";
  if (!stage.empty() && !environment.guarded && !environment.development) {
    ReportVariable(problems, "MFN_ENV",
                   absl::StrCat("unknown stage; ", Known(stage, {"dev", "staging", "prod"})));
  }
  if (const auto key = env("MFN_API_KEY"); key.has_value() && !key->empty()) {
    environment.api_keys.push_back(*key);
  }
  const std::string more = env("MFN_API_KEYS").value_or("");
  for (absl::string_view key : absl::StrSplit(more, ',')) {
    key = absl::StripAsciiWhitespace(key);
    if (!key.empty()) environment.api_keys.emplace_back(key);
  }
  environment.api_key_required = BoolVariable(env, "MFN_API_KEY_REQUIRED", problems);
  environment.rate_limit_enabled = BoolVariable(env, "MFN_RATE_LIMIT_ENABLED", problems);
  return environment;
}

std::string Against(absl::string_view base_dir, const std::string& path) {
  if (base_dir.empty() || path.empty()) return path;
  return (std::filesystem::path(std::string(base_dir)) / path).lexically_normal().string();
}

// A key travels as gRPC metadata, which holds visible ASCII.
bool UsableKey(absl::string_view key) {
  return std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
}

void ReadKeys(const json& value, const Environment& environment, ServerConfig* server,
              Problems* problems) {
  const json* keys = FindMember(value, "api_keys");
  for (size_t i = 0; keys != nullptr && keys->is_array() && i < keys->size(); ++i) {
    if (!(*keys)[i].is_string() || (*keys)[i] == "") continue;
    server->api_keys.push_back((*keys)[i].get<std::string>());
    if (!UsableKey(server->api_keys.back())) {
      Report(problems, ItemPath("server.api_keys", i), "holds something else than visible ASCII");
    }
  }
  for (const std::string& key : environment.api_keys) {
    if (!UsableKey(key)) {
      ReportVariable(problems, "MFN_API_KEY or MFN_API_KEYS",
                     "holds something else than visible ASCII");
    }
    const auto& known = server->api_keys;
    if (std::find(known.begin(), known.end(), key) == known.end()) server->api_keys.push_back(key);
  }
  const bool by_default =
      environment.guarded || (!server->api_keys.empty() && !environment.development);
  server->api_key_required = environment.api_key_required.value_or(
      BoolMember(value, "api_key_required").value_or(by_default));
  if (server->api_key_required && server->api_keys.empty()) {
    Report(problems, "server.api_keys",
           "a key is required of every request, but there is none; give server.api_keys, "
           "MFN_API_KEY or MFN_API_KEYS, or set server.api_key_required (MFN_API_KEY_REQUIRED) to "
           "false");
  }
}

void ReadTls(const json& value, absl::string_view base_dir, ServerConfig* server,
             Problems* problems) {
  const json& tls = ObjectMember(value, "tls");
  server->tls.cert_file = Against(base_dir, StringMember(tls, "cert").value_or(""));
  server->tls.key_file = Against(base_dir, StringMember(tls, "key").value_or(""));
  server->tls.client_ca_file = Against(base_dir, StringMember(tls, "client_ca").value_or(""));
  const bool cert = !server->tls.cert_file.empty();
  const bool key = !server->tls.key_file.empty();
  if (cert != key) {
    Report(problems, absl::StrCat("server.tls.", cert ? "key" : "cert"),
           absl::StrCat("required beside server.tls.", cert ? "cert" : "key", ", but missing"));
  }
  if (!server->tls.client_ca_file.empty() && !cert && !key) {
    Report(problems, "server.tls.cert", "required beside server.tls.client_ca, but missing");
  }
}

// host of "host:port"; nullopt if the address has another form.
std::optional<std::string> HostOf(absl::string_view listen) {
  const size_t colon = listen.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  const absl::string_view digits = listen.substr(colon + 1);
  int port = -1;
  const bool plain =
      !digits.empty() && digits.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!plain || !absl::SimpleAtoi(digits, &port) || port > 65535) return std::nullopt;
  absl::string_view host = listen.substr(0, colon);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (bracketed) {
    in6_addr unused;
    const bool v6 = inet_pton(AF_INET6, std::string(host).c_str(), &unused) == 1;
    return v6 ? std::optional<std::string>(host) : std::nullopt;
  }
  if (host.empty() || host.find_first_of(":[]/ \t") != absl::string_view::npos) {
    return std::nullopt;
  }
  return std::string(host);
}

bool Loopback(const std::string& host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void CheckListen(const ServerConfig& server, Problems* problems) {
  if (absl::StartsWith(server.listen, "unix:") && server.listen.size() > 5) return;
  const std::optional<std::string> host = HostOf(server.listen);
  if (!host.has_value()) {
    Report(problems, "server.listen",
           "expected host:port, [ipv6]:port or unix:path, with a port from 0 to 65535");
    return;
  }
  const bool tls = !server.tls.cert_file.empty();
  const bool keys = server.api_key_required && !server.api_keys.empty();
  if (Loopback(*host) || tls || keys) return;
  const char* why = server.api_keys.empty()
                        ? "without server.api_keys or server.tls"
                        : "without server.tls while server.api_key_required is off";
  Report(problems, "server.listen",
         absl::StrCat("refused ", why,
                      ": only loopback (127.0.0.0/8, [::1], localhost, unix:) may be served then"));
}

// Plain HTTP: only keys can tell who asks.
void CheckHttpListen(const ServerConfig& server, Problems* problems) {
  if (server.http.listen.empty()) return;
  const std::optional<std::string> host = HostOf(server.http.listen);
  if (!host.has_value()) {
    Report(problems, "server.http.listen",
           "expected host:port or [ipv6]:port, with a port from 0 to 65535");
    return;
  }
  if (Loopback(*host) || (server.api_key_required && !server.api_keys.empty())) return;
  Report(problems, "server.http.listen",
         "refused without server.api_keys and server.api_key_required: only loopback "
         "(127.0.0.0/8, [::1], localhost) may be served then");
}

}  // namespace

ServerConfig NormaliseServer(const json& value, absl::string_view base_dir, const EnvLookup& env,
                             Problems* problems) {
  ServerConfig server;
  const Environment environment = ReadEnvironment(env, problems);
  const std::string listen = StringMember(value, "listen").value_or("");
  if (!listen.empty()) server.listen = listen;  // an empty one was reported
  ReadTls(value, base_dir, &server, problems);
  ReadKeys(value, environment, &server, problems);
  CheckListen(server, problems);
  server.http.listen = StringMember(ObjectMember(value, "http"), "listen").value_or("");
  CheckHttpListen(server, problems);
  server.log.level = StringMember(ObjectMember(value, "log"), "level").value_or(server.log.level);
  const std::string access = StringMember(ObjectMember(value, "log"), "access").value_or("debug");
  server.log.access = access == "off"    ? AccessLog::kOff
                      : access == "info" ? AccessLog::kInfo
                                         : AccessLog::kDebug;
  const json& limit = ObjectMember(value, "rate_limit");
  server.rate_limit_enabled = environment.rate_limit_enabled.value_or(
      BoolMember(limit, "enabled").value_or(environment.guarded));
  const double rate =
      NumberMember(limit, "requests_per_second").value_or(server.rate_limit_per_second);
  if (rate > 0 && rate <= 1e6) server.rate_limit_per_second = rate;
  server.state_dir = Against(base_dir, StringMember(value, "state_dir").value_or(server.state_dir));
  const json* dirs = FindMember(value, "plugin_dirs");
  for (size_t i = 0; dirs != nullptr && dirs->is_array() && i < dirs->size(); ++i) {
    if (!(*dirs)[i].is_string()) continue;
    server.plugin_dirs.push_back(Against(base_dir, (*dirs)[i].get<std::string>()));
  }
  const json& plugins = ObjectMember(value, "plugins");
  server.plugin_probe = BoolMember(plugins, "probe").value_or(server.plugin_probe);
  for (const auto& [file, digest] : ObjectMember(plugins, "sha256").items()) {
    if (digest.is_string()) server.plugin_pins[file] = digest.get<std::string>();
  }
  if (const auto ms = IntMember(value, "drain_timeout_ms", IntBounds{0, config_bounds::kHourMs})) {
    server.drain_timeout = absl::Milliseconds(*ms);
  }
  if (const auto ms =
          IntMember(value, "stream_stall_timeout_ms", IntBounds{0, config_bounds::kHourMs})) {
    server.stream_stall_timeout = absl::Milliseconds(*ms);
  }
  server.max_concurrent_simulations =
      static_cast<int>(IntMember(value, "max_concurrent_simulations", IntBounds{0, 1024})
                           .value_or(server.max_concurrent_simulations));
  const json& letters = ObjectMember(value, "dead_letters");
  if (const auto hours = IntMember(letters, "max_age_hours", IntBounds{0, 876'000})) {
    server.dead_letters.max_age = absl::Hours(*hours);
  }
  server.dead_letters.max_bytes = IntMember(letters, "max_bytes", IntBounds{0, int64_t{1} << 50})
                                      .value_or(server.dead_letters.max_bytes);
  return server;
}

}  // namespace mfn
