// The loader on good configurations: the shape that operators know, aliases, the environment,
// interpolation, printing, single items.
#include "server/base/config_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/config_schema.h"

namespace mfn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

EnvLookup Env(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Config MustLoad(const std::string& text, std::map<std::string, std::string> env = {},
                const std::string& base_dir = "") {
  absl::StatusOr<Config> config = LoadConfigText(text, "t.yaml", base_dir, Env(std::move(env)));
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : Config();
}

constexpr char kShape[] = R"(connectors:
  - name: api
    connector_type: rest
    enabled: true
    timeout_ms: 5000
    retry_policy:
      max_retries: 3
      backoff: { type: exponential, base_ms: 100, multiplier: 2.0, max_delay_ms: 10000 }
    circuit_breaker: { threshold: 5, timeout_ms: 30000 }
    config_data: { base_url: "https://api.example.com" }
)";

TEST(LoadConfig, TheKnownShapeLoadsUnchanged) {
  const Config config = MustLoad(kShape);
  ASSERT_EQ(config.connectors.size(), 1u);
  const InstanceConfig& api = config.connectors[0];
  EXPECT_EQ(api.name, "api");
  EXPECT_EQ(api.role, InstanceRole::kConnector);
  EXPECT_EQ(api.type, "rest");
  EXPECT_TRUE(api.enabled);
  EXPECT_EQ(api.timeout, absl::Seconds(5));
  EXPECT_EQ(api.retry.max_retries, 3);
  EXPECT_EQ(api.retry.backoff, BackoffKind::kExponential);
  EXPECT_EQ(api.retry.initial_delay, absl::Milliseconds(100));
  EXPECT_EQ(api.retry.multiplier, 2.0);
  EXPECT_EQ(api.retry.max_delay, absl::Seconds(10));
  EXPECT_EQ(api.breaker.threshold, 5);
  EXPECT_EQ(api.breaker.timeout, absl::Seconds(30));
  EXPECT_EQ(api.config_json, R"({"base_url":"https://api.example.com"})");
  EXPECT_EQ(api.line, 2);
}

TEST(LoadConfig, AnEmptyTextIsAnEmptyConfiguration) {
  for (const char* text : {"", "# nothing\n", "---\n", "connectors:\nserver:\n", "{}"}) {
    const Config config = MustLoad(text);
    EXPECT_TRUE(config.connectors.empty());
    EXPECT_EQ(config.server.listen, "127.0.0.1:50051");
    EXPECT_FALSE(config.server.api_key_required);
    EXPECT_TRUE(config.server.plugin_dirs.empty());
  }
}

TEST(LoadConfig, AliasesAreNormalised) {
  const Config config = MustLoad(R"(
connectors:
  - name: a
    publisher_type: file
    timeout: 1.5
    retry_policy: {strategy: linear_backoff, initial_retry_delay: 0.25, max_retry_delay: 4,
                   backoff_multiplier: 3, jitter: false}
    circuit_breaker: {circuit_breaker_threshold: 7, timeout: 2}
  - name: b
    connector_type: file
    retry_policy: {backoff: {type: fixed_delay, base_ms: 20000, jitter: 25%}}
    circuit_breaker_threshold: 9
  - {name: c, connector_type: file, retry_policy: {backoff: no_retry}}
  - {name: d, connector_type: file, retry_policy: {backoff: {strategy: immediate}}}
)");
  ASSERT_EQ(config.connectors.size(), 4u);
  const InstanceConfig& a = config.connectors[0];
  EXPECT_EQ(a.type, "file");
  EXPECT_EQ(a.timeout, absl::Milliseconds(1500));
  EXPECT_EQ(a.retry.backoff, BackoffKind::kLinear);
  EXPECT_EQ(a.retry.initial_delay, absl::Milliseconds(250));
  EXPECT_EQ(a.retry.max_delay, absl::Seconds(4));
  EXPECT_EQ(a.retry.multiplier, 3.0);
  EXPECT_EQ(a.retry.jitter, JitterKind::kNone);
  EXPECT_EQ(a.breaker.threshold, 7);
  EXPECT_EQ(a.breaker.timeout, absl::Seconds(2));
  const InstanceConfig& b = config.connectors[1];
  EXPECT_EQ(b.retry.backoff, BackoffKind::kFixed);
  EXPECT_EQ(b.retry.jitter, JitterKind::kQuarter);
  EXPECT_EQ(b.retry.max_delay, absl::Seconds(20));  // never below the first delay by default
  EXPECT_EQ(b.breaker.threshold, 9);
  EXPECT_EQ(config.connectors[2].retry.backoff, BackoffKind::kNone);
  EXPECT_EQ(config.connectors[2].retry.max_retries, 0);
  EXPECT_EQ(config.connectors[3].retry.backoff, BackoffKind::kImmediate);
  EXPECT_EQ(config.connectors[3].line, 14);
}

TEST(LoadConfig, LimitsBudgetAndOverrides) {
  const Config config = MustLoad(R"(
connectors:
  - name: a
    connector_type: rest
    retry_policy:
      budget: 50
      overrides:
        - {match: HTTP_403, as: retryable}
        - {match: PERMANENT, as: not_connected}
    circuit_breaker: {timeout_ms: 1000, max_timeout_ms: 8000}
    rate_limit: {per_second: 2.5}
    max_concurrent_calls: 4
  - name: b
    connector_type: rest
    circuit_breaker: {timeout: 3600}
    rate_limit: {per_second: 10, burst: 3}
)");
  const InstanceConfig& a = config.connectors[0];
  EXPECT_EQ(a.retry.budget, 50);
  ASSERT_EQ(a.retry.overrides.size(), 2u);
  EXPECT_EQ(a.retry.overrides[0].match, "HTTP_403");
  EXPECT_EQ(a.retry.overrides[0].as, FailureClass::kRetryable);
  EXPECT_EQ(a.retry.overrides[1].as, FailureClass::kNotConnected);
  EXPECT_EQ(a.breaker.max_timeout, absl::Seconds(8));
  EXPECT_EQ(a.rate_limit.per_second, 2.5);
  EXPECT_EQ(a.rate_limit.burst, 3) << "per_second, rounded up";
  EXPECT_EQ(a.max_concurrent_calls, 4);
  const InstanceConfig& b = config.connectors[1];
  EXPECT_EQ(b.retry.budget, 500);
  EXPECT_EQ(b.breaker.max_timeout, absl::Hours(1)) << "never below the first time by default";
  EXPECT_EQ(b.rate_limit.burst, 3);
  EXPECT_EQ(b.max_concurrent_calls, 0);
}

TEST(LoadConfig, PublishersAndPipelines) {
  const Config config = MustLoad(R"(
connectors: [{name: in, connector_type: file}]
publishers:
  - name: out
    publisher_type: file
    delivery_guarantee: at_most_once
    batch_size: 10
    batch_timeout_ms: 0
    enable_compression: true
  - name: failed
    publisher_type: file
    enable_compression: true
    config_data: {compression: zstd}
pipelines:
  - name: p
    source: in
    processor: passthrough
    sinks: [out, {publisher: failed, required: false, queue: {records: 7, bytes: 2048},
                   overflow: dead_letter}]
    dead_letter: {publisher: failed}
    autostart: false
    workers: 3
    error_publisher: out
    max_in_flight: {records: 5, bytes: 4096, cost: 9}
  - {name: q, source: in, sinks: [out], dead_letter: store}
)");
  ASSERT_EQ(config.publishers.size(), 2u);
  EXPECT_EQ(config.publishers[0].role, InstanceRole::kPublisher);
  EXPECT_EQ(config.publishers[0].delivery, DeliveryGuarantee::kAtMostOnce);
  EXPECT_EQ(config.publishers[0].batch_size, 10);
  EXPECT_EQ(config.publishers[0].batch_timeout, absl::ZeroDuration());
  EXPECT_EQ(config.publishers[0].config_json, R"({"compression":"gzip"})");
  EXPECT_EQ(config.publishers[1].config_json, R"({"compression":"zstd"})");
  ASSERT_EQ(config.pipelines.size(), 2u);
  const PipelineConfig& p = config.pipelines[0];
  EXPECT_EQ(p.source, "in");
  EXPECT_EQ(p.processor, ProcessorKind::kPassthrough);
  ASSERT_EQ(p.sinks.size(), 2u);
  EXPECT_EQ(p.sinks[0].publisher, "out");
  EXPECT_TRUE(p.sinks[0].required);
  EXPECT_EQ(p.sinks[1].publisher, "failed");
  EXPECT_FALSE(p.sinks[1].required);
  EXPECT_EQ(p.dead_letter_publisher, "failed");
  EXPECT_FALSE(p.autostart);
  EXPECT_EQ(p.workers, 3);
  EXPECT_EQ(p.max_in_flight_records, 5);
  EXPECT_EQ(p.max_in_flight_bytes, 4096);
  EXPECT_EQ(p.max_in_flight_cost, 9);
  EXPECT_EQ(p.error_publisher, "out");
  EXPECT_EQ(p.sinks[0].queue_records, 1024);
  EXPECT_EQ(p.sinks[0].overflow, OverflowPolicy::kDrop);
  EXPECT_EQ(p.sinks[1].queue_records, 7);
  EXPECT_EQ(p.sinks[1].queue_bytes, 2048);
  EXPECT_EQ(p.sinks[1].overflow, OverflowPolicy::kDeadLetter);
  EXPECT_EQ(p.line, 15);
  EXPECT_EQ(config.pipelines[1].dead_letter_publisher, "");
  EXPECT_TRUE(config.pipelines[1].autostart);
}

TEST(LoadConfig, ConfigDataIsTypedByTheCoreSchema) {
  const Config config = MustLoad(R"(connectors:
  - name: a
    connector_type: file
    config_data:
      int: 12
      hex: 0x1F
      octal: 0o17
      float: 1e3
      yes_is_text: yes
      bool: true
      quoted: "12"
      empty:
      text: 1.2.3
      date: 2024-01-02
      tagged: !!str 12
      list: [1, two, 3.5]
      "a.b": {}
      anchor: &x {k: v}
      alias: *x
)");
  EXPECT_EQ(nlohmann::json::parse(config.connectors[0].config_json), nlohmann::json::parse(R"({
      "int": 12, "hex": 31, "octal": 15, "float": 1000.0, "yes_is_text": "yes", "bool": true,
      "quoted": "12", "empty": null, "text": "1.2.3", "date": "2024-01-02", "tagged": "12",
      "list": [1, "two", 3.5], "a.b": {}, "anchor": {"k": "v"}, "alias": {"k": "v"}})"));
}

TEST(LoadConfig, References) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / absl::StrCat("config_loader_", getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "secret") << "0042\n";
  const Config config = MustLoad(R"(server:
  listen: 127.0.0.1:${PORT}
  api_keys:
    - ${KEY}
    - ${file:secret}
    - "${DIGITS}"
    - ${DIGITS2}
connectors:
  - name: ${NAME:-inbox}
    connector_type: file
    timeout_ms: ${MS}
    config_data:
      typed: ${MS}
      quoted: "${MS}"
      default: ${UNSET:-${ALSO_UNSET:-7}}
      empty: ${EMPTY}
      empty_default: ${EMPTY:-x}
      secret: ${file:secret}
      literal: a$${b} $c
      once: ${NESTED}
)",
                                 {{"PORT", "0"},
                                  {"KEY", "k1"},
                                  {"DIGITS", "12"},
                                  {"DIGITS2", "0013"},
                                  {"MS", "250"},
                                  {"EMPTY", ""},
                                  {"NESTED", "${KEY}"}},
                                 folder.string());
  std::filesystem::remove_all(folder);
  ASSERT_EQ(config.connectors.size(), 1u);
  EXPECT_EQ(config.server.listen, "127.0.0.1:0");
  EXPECT_THAT(config.server.api_keys, ElementsAre("k1", "0042", "12", "0013"));
  EXPECT_EQ(config.connectors[0].name, "inbox");
  EXPECT_EQ(config.connectors[0].timeout, absl::Milliseconds(250));
  EXPECT_EQ(nlohmann::json::parse(config.connectors[0].config_json), nlohmann::json::parse(R"({
      "typed": 250, "quoted": "250", "default": 7, "empty": "", "empty_default": "x",
      "secret": "0042", "literal": "a${b} $c", "once": "${KEY}"})"));
}

TEST(LoadConfig, RelativePathsAreRelativeToTheFile) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / absl::StrCat("config_paths_", getpid());
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "c.yaml").string();
  std::ofstream(path) << "server: {state_dir: s, plugin_dirs: [p, ../q, /abs], "
                         "tls: {cert: c.pem, key: k.pem, client_ca: ca.pem}, listen: '0.0.0.0:1'}";
  const absl::StatusOr<Config> config = LoadConfigFile(path, Env({}));
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(config.ok()) << config.status();
  const std::string base = folder.lexically_normal().string();
  EXPECT_EQ(config->server.state_dir, base + "/s");
  EXPECT_THAT(
      config->server.plugin_dirs,
      ElementsAre(base + "/p", folder.parent_path().lexically_normal().string() + "/q", "/abs"));
  EXPECT_EQ(config->server.tls.cert_file, base + "/c.pem");
  EXPECT_EQ(config->server.tls.key_file, base + "/k.pem");
  EXPECT_EQ(config->server.tls.client_ca_file, base + "/ca.pem");
}

TEST(LoadConfig, PluginsAreProbedAndMayBePinned) {
  EXPECT_TRUE(MustLoad("server: {plugins: {}}").server.plugin_probe);
  const std::string digest(64, 'a');
  const Config config =
      MustLoad(absl::StrCat("server: {plugins: {probe: false, sha256: {x.so: ", digest, "}}}"));
  EXPECT_FALSE(config.server.plugin_probe);
  EXPECT_THAT(config.server.plugin_pins, ElementsAre(testing::Pair("x.so", digest)));
}

TEST(LoadConfig, LargeBoundsAreNotDropped) {
  const Config config = MustLoad(absl::StrCat(
      "server: {dead_letters: {max_bytes: ", int64_t{1} << 50, "}}\n",
      "connectors: [{name: in, connector_type: file}]\n",
      "publishers: [{name: out, publisher_type: file}]\n",
      "pipelines: [{name: p, source: in, sinks: [out], max_in_flight: {cost: ", int64_t{1} << 50,
      "}}]\n"));
  EXPECT_EQ(config.server.dead_letters.max_bytes, int64_t{1} << 50);
  EXPECT_EQ(config.pipelines[0].max_in_flight_cost, int64_t{1} << 50);
}

TEST(LoadConfig, HowLongAReaderMayStall) {
  EXPECT_EQ(MustLoad("").server.stream_stall_timeout, absl::Seconds(60));
  const Config never = MustLoad("server: {stream_stall_timeout_ms: 0}");
  EXPECT_EQ(never.server.stream_stall_timeout, absl::ZeroDuration());
  const Config most = MustLoad("server: {stream_stall_timeout_ms: 3600000}");
  EXPECT_EQ(most.server.stream_stall_timeout, absl::Hours(1));
  const std::string printed =
      PrintConfig(most, [](const InstanceConfig&) { return std::string("{}"); });
  EXPECT_THAT(printed, testing::HasSubstr("stream_stall_timeout_ms: 3600000"));
}

TEST(LoadConfig, TheEnvironmentOperatorsUse) {
  const Config plain = MustLoad("", {{"MFN_API_KEY", "a"}, {"MFN_API_KEYS", " b,c ,,a"}});
  EXPECT_THAT(plain.server.api_keys, ElementsAre("a", "b", "c"));
  EXPECT_TRUE(plain.server.api_key_required);
  EXPECT_FALSE(plain.server.rate_limit_enabled);
  const Config dev = MustLoad("", {{"MFN_API_KEY", "a"}, {"MFN_ENV", "dev"}});
  EXPECT_FALSE(dev.server.api_key_required);
  const Config prod = MustLoad("", {{"MFN_API_KEY", "a"}, {"MFN_ENV", "prod"}});
  EXPECT_TRUE(prod.server.api_key_required);
  EXPECT_TRUE(prod.server.rate_limit_enabled);
  const Config overridden =
      MustLoad("server: {rate_limit: {enabled: true}, api_key_required: true, api_keys: [k]}",
               {{"MFN_RATE_LIMIT_ENABLED", "no"}, {"MFN_API_KEY_REQUIRED", "0"}});
  EXPECT_FALSE(overridden.server.rate_limit_enabled);
  EXPECT_FALSE(overridden.server.api_key_required);
}

TEST(LoadConfig, LoopbackNeedsNoProtectionAndTheRestDoes) {
  for (const char* listen : {"127.0.0.1:0", "127.9.8.7:65535", "localhost:1", "'[::1]:50051'",
                             "unix:/run/mfnd.sock", "unix:rel.sock"}) {
    MustLoad(absl::StrCat("server: {listen: ", listen, "}"));
  }
  MustLoad("server: {listen: '0.0.0.0:1', api_keys: [k]}");
  MustLoad("server: {http: {listen: '0.0.0.0:1'}, api_keys: [k]}");
  EXPECT_EQ(MustLoad("server: {http: {listen: 'localhost:0'}}").server.http.listen, "localhost:0");
  MustLoad("server: {listen: 'example.com:1', tls: {cert: c, key: k}}");
  MustLoad("server: {listen: '[::]:1'}", {{"MFN_API_KEY", "k"}});
}

TEST(LoadConfigFile, TheExampleLoadsAndShowsEveryKey) {
  const std::string path = MFN_DEPLOY_DIR "/mfnd.example.yaml";
  const absl::StatusOr<Config> config = LoadConfigFile(path, Env({}));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->pipelines.size(), 1u);
  EXPECT_EQ(config->publishers.size(), 2u);
  // Whatever the schema knows is at least named in the example.
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::function<void(const nlohmann::json&)> visit = [&](const nlohmann::json& schema) {
    if (!schema.is_structured()) return;
    for (const auto& [keyword, value] : schema.items()) {
      if (keyword == "properties") {
        for (const auto& [name, unused] : value.items()) EXPECT_THAT(text, HasSubstr(name));
      }
      visit(value);
    }
  };
  visit(nlohmann::json::parse(ConfigSchemaText()));
}

TEST(LoadConfigFile, TheQuickstartLoads) {
  const absl::StatusOr<Config> config =
      LoadConfigFile(MFN_DEPLOY_DIR "/quickstart.yaml",
                     Env({{"MFN_QUICKSTART_DIR", "/q"}, {"MFN_PLUGIN_DIR", "/p"}}));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->server.state_dir, "/q/state");
  EXPECT_THAT(config->server.plugin_dirs, ElementsAre("/p"));
}

TEST(LoadConfigFile, FilesThatCannotBeRead) {
  const absl::Status missing = LoadConfigFile("/nonexistent/c.yaml", Env({})).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("/nonexistent/c.yaml"));
  EXPECT_THAT(std::string(LoadConfigFile(testing::TempDir(), Env({})).status().message()),
              HasSubstr("is a folder"));
}

TEST(ProcessEnv, ReadsTheProcess) {
  setenv("MFN_CONFIG_LOADER_TEST", "x", 1);
  EXPECT_EQ(ProcessEnv()("MFN_CONFIG_LOADER_TEST"), "x");
  unsetenv("MFN_CONFIG_LOADER_TEST");
  EXPECT_EQ(ProcessEnv()("MFN_CONFIG_LOADER_TEST"), std::nullopt);
}

TEST(ParseItem, TheSameNormalisationAsTheFile) {
  const absl::StatusOr<InstanceConfig> publisher = ParseInstanceJson(
      R"({"name":"p","publisher_type":"file","enable_compression":true,"timeout":2,
          "config_data":{"path":"${HOME}"}})",
      InstanceRole::kPublisher);
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  EXPECT_EQ(publisher->role, InstanceRole::kPublisher);
  EXPECT_EQ(publisher->timeout, absl::Seconds(2));
  EXPECT_EQ(publisher->config_json, R"({"compression":"gzip","path":"${HOME}"})");
  EXPECT_EQ(publisher->line, 0);
  const absl::StatusOr<PipelineConfig> pipeline =
      ParsePipelineJson(R"({"name":"p","source":"anything","sinks":["x"]})");
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  EXPECT_EQ(pipeline->source, "anything");
}

TEST(ParseItem, ProblemsHaveTheFieldAndNoLine) {
  const auto message = [](const char* text) {
    return std::string(ParseInstanceJson(text, InstanceRole::kConnector).status().message());
  };
  EXPECT_EQ(message(R"({"name":"Ä","timeout_ms":0,"batch_size":1})"),
            "batch_size: unknown key; known: circuit_breaker, circuit_breaker_threshold, "
            "config_data, connector_type, enabled, max_concurrent_calls, name, publisher_type, "
            "rate_limit, retry_policy, timeout, timeout_ms\n"
            "name: expected 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit, found "
            "the string \"\\u00c4\"\n"
            "timeout_ms: must be from 1 to 3600000, found 0\n"
            "connector_type: required, but missing");
  EXPECT_EQ(message(R"({"name":"a","connector_type":"x","timeout":1,"timeout_ms":1})"),
            "timeout: given twice, also as timeout_ms; keep one of them");
  EXPECT_EQ(message("[]"), "expected a map, found a list");
  EXPECT_THAT(message("{"), HasSubstr("byte 1"));
  EXPECT_EQ(ParsePipelineJson(R"({"name":"p","source":"s","sinks":[]})").status().message(),
            "sinks: needs at least 1, found 0");
}

TEST(PrintConfig, LoadsAgainToTheSame) {
  const std::map<std::string, std::string> env = {{"MFN_API_KEY", "hunter2"}};
  const std::string text = absl::StrCat(kShape, R"(
publishers:
  - {name: "12", publisher_type: file, enable_compression: true,
     config_data: {"odd key: ${x}": ["$${HOME}", "a\nb", "yes", [], {}, [[1], {k: {l: -1.5}}]]}}
  - {name: out, publisher_type: file, retry_policy: {backoff: {jitter: equal, type: linear}}}
pipelines:
  - {name: p, source: api, sinks: [out, {publisher: "12", required: false}],
     dead_letter: {publisher: out}}
)");
  const auto as_is = [](const InstanceConfig& instance) { return instance.config_json; };
  const Config first = MustLoad(text, env);
  const std::string printed = PrintConfig(first, as_is);
  EXPECT_THAT(printed, Not(HasSubstr("hunter2")));
  EXPECT_THAT(printed, HasSubstr("api_keys:\n    - REDACTED\n"));
  const Config second = MustLoad(printed);
  EXPECT_EQ(PrintConfig(second, as_is), printed);
  EXPECT_EQ(second.publishers[0].config_json, first.publishers[0].config_json);
  EXPECT_EQ(second.publishers[1].retry.jitter, JitterKind::kEqual);
  EXPECT_EQ(second.pipelines[0].dead_letter_publisher, "out");
  const std::string hidden =
      PrintConfig(first, [](const InstanceConfig&) { return R"({"password":"REDACTED"})"; });
  EXPECT_THAT(hidden, HasSubstr("password: REDACTED"));
  EXPECT_THAT(hidden, Not(HasSubstr("api.example.com")));
}

}  // namespace
}  // namespace mfn
