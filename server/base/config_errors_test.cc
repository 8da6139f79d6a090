// Bad configurations: each problem is told with its exact place and field, all of them at once; and
// damaged texts never do worse than a report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/config_loader.h"
#include "server/base/config_schema.h"

namespace mfn {
namespace {

using testing::HasSubstr;
using testing::Not;

EnvLookup Env(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

std::string Errors(absl::string_view text, std::map<std::string, std::string> env = {}) {
  const absl::StatusOr<Config> config = LoadConfigText(text, "c.yaml", "", Env(std::move(env)));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(config.status().message());
}

struct BadConfig {
  const char* text;
  const char* error;  // the whole report, or its start when it ends in "..."
};

void Check(const BadConfig& bad) {
  const std::string errors = Errors(bad.text);
  absl::string_view expected = bad.error;
  if (absl::ConsumeSuffix(&expected, "...")) {
    EXPECT_EQ(errors.substr(0, expected.size()), expected) << bad.text;
  } else {
    EXPECT_EQ(errors, expected) << bad.text;
  }
}

TEST(BadConfig, NotYaml) {
  const BadConfig table[] = {
      {"a: [1, 2\nb: 3\n", "c.yaml:2:2: not YAML: ..."},
      {"server:\n\tlisten: x\n", "c.yaml:2:8: not YAML: ..."},
      {"server: {}\n  connectors: []\n", "c.yaml:2:3: not YAML: ..."},
      {"server: *nowhere\n", "c.yaml:1:9: not YAML: ..."},
      {"server: {}\nx: \xff\n", "c.yaml:2:4: not UTF-8"},
      {"server: \x01\n", "c.yaml:1:9: a control character"},
      {"{}\n---\n{}\n", "c.yaml:2:1: a second document begins here; the configuration is one"},
      {"server: &a\n  tls: *a\n", "c.yaml:2:8: the alias stands inside its anchor"},
      {"just text", "c.yaml:1:1: expected a map, found the string \"just text\""},
      {"- a\n", "c.yaml:1:1: expected a map, found a list"},
      {"server: {}\n? [x]\n: y\n", "c.yaml:2:3: a key must be a scalar"},
  };
  for (const BadConfig& bad : table) Check(bad);
}

TEST(BadConfig, KeysAndTypes) {
  const BadConfig table[] = {
      {"server: {}\nconectors: []\n",
       "c.yaml:2:1: conectors: unknown key; known: connectors, pipelines, publishers, server (did "
       "you mean \"connectors\"?)"},
      {"server:\n  lisen: x\n",
       "c.yaml:2:3: server.lisen: unknown key; known: api_key_required, api_keys, "
       "dead_letters, drain_timeout_ms, http, listen, log, max_concurrent_simulations, "
       "plugin_dirs, plugins, "
       "rate_limit, state_dir, stream_stall_timeout_ms, tls (did you mean \"listen\"?)"},
      {"server:\n  stream_stall_timeout_ms: 3600001\n",
       "c.yaml:2:28: server.stream_stall_timeout_ms: must be from 0 to 3600000, found 3600001"},
      {"server:\n  plugins: {sha256: {a.so: ABC}}\n",
       "c.yaml:2:28: server.plugins.sha256[\"a.so\"]: expected 64 lower-case hex digits, as "
       "sha256sum "
       "prints them, found the string \"ABC\""},
      {"server: {}\nserver: {}\n", "c.yaml:2:1: server: the key stands twice, first in line 1"},
      {"connectors:\n  - name: a\n    connector_type: f\n    config_data:\n      k: 1\n      k: "
       "2\n",
       "c.yaml:6:7: connectors[0].config_data.k: the key stands twice, first in line 5"},
      {"connectors:\n  - name: a\n    connector_type: f\n    timeout_ms: soon\n",
       "c.yaml:4:17: connectors[0].timeout_ms: expected an integer from 1 to 3600000, found the "
       "string \"soon\""},
      {"connectors:\n  - name: a\n    connector_type: f\n    timeout_ms: 1.5\n",
       "c.yaml:4:17: connectors[0].timeout_ms: expected an integer from 1 to 3600000, found 1.5"},
      {"connectors:\n  - name: a\n    connector_type: f\n    timeout_ms: 3600001\n",
       "c.yaml:4:17: connectors[0].timeout_ms: must be from 1 to 3600000, found 3600001"},
      {"connectors:\n  - name: a\n    connector_type: f\n    timeout_ms: 99999999999999999999\n",
       "c.yaml:4:17: connectors[0].timeout_ms: ..."},
      {"connectors:\n  - name: a\n    connector_type: f\n    enabled: yes\n",
       "c.yaml:4:14: connectors[0].enabled: expected true or false, found the string \"yes\""},
      {"connectors:\n  - name: a\n    connector_type: f\n    enabled:\n",
       "c.yaml:4:5: connectors[0].enabled: expected true or false, found nothing"},
      {"connectors:\n  - name: a\n    connector_type: f\n    config_data: [1]\n",
       "c.yaml:4:18: connectors[0].config_data: expected a map, found a list"},
      {"connectors:\n  name: a\n", "c.yaml:2:3: connectors: expected a list, found a map"},
      {"connectors:\n  - name: a\n    connector_type: f\n    retry_policy:\n"
       "      backoff: {type: exponental}\n",
       "c.yaml:5:23: connectors[0].retry_policy.backoff.type: unknown value, found the string "
       "\"exponental\"; known: exponential, exponential_backoff, linear, linear_backoff, fixed, "
       "fixed_delay, immediate, none, no_retry (did you mean \"exponential\"?)"},
      {"connectors:\n  - name: a\n    connector_type: f\n    retry_policy: {backoff: 3}\n",
       "c.yaml:4:29: connectors[0].retry_policy.backoff: expected a string or a map, found 3"},
      {"connectors:\n  - name: a\n    connector_type: f\n    config_data: {n: .inf}\n",
       "c.yaml:4:22: connectors[0].config_data.n: a number that has no JSON form ..."},
      {"connectors:\n  - name: a\n    connector_type: f\n    config_data: {n: !mine x}\n",
       "c.yaml:4:22: connectors[0].config_data.n: a tag that ..."},
      {"publishers:\n  - name: a\n    publisher_type: f\n    batch_size: 0\n",
       "c.yaml:4:17: publishers[0].batch_size: must be from 1 to 10000, found 0"},
      {"publishers:\n  - name: a\n    publisher_type: f\n    delivery_guarantee: exactly_once\n",
       "c.yaml:4:25: publishers[0].delivery_guarantee: exactly_once needs a source and a sink that "
       "share a transaction, ..."},
      {"connectors:\n  - name: a\n    connector_type: f\n    retry_policy:\n"
       "      overrides: [{match: http_403, as: retryable}]\n",
       "c.yaml:5:27: connectors[0].retry_policy.overrides[0].match: expected 1 to 64 of A-Z, 0-9 "
       "and _, starting with a letter, found the string \"http_403\""},
      {"connectors:\n  - name: a\n    connector_type: f\n    retry_policy:\n"
       "      overrides: [{match: A, as: auth}, {match: A, as: retryable}]\n",
       "c.yaml:5:41: connectors[0].retry_policy.overrides[1]: overrides A a second time"},
      {"connectors:\n  - name: a\n    connector_type: f\n"
       "    circuit_breaker: {timeout_ms: 2000, max_timeout_ms: 1000}\n",
       "c.yaml:4:57: connectors[0].circuit_breaker.max_timeout_ms: is below timeout_ms, 2s"},
      {"connectors:\n  - name: a\n    connector_type: f\n    batch_size: 5\n",
       "c.yaml:4:5: connectors[0].batch_size: unknown key; ..."},
  };
  for (const BadConfig& bad : table) Check(bad);
}

TEST(BadConfig, NamesAndReferences) {
  const BadConfig table[] = {
      {"connectors:\n  - connector_type: f\n",
       "c.yaml:2:5: connectors[0].name: required, but missing"},
      {"connectors:\n  - name: a\n",
       "c.yaml:2:5: connectors[0].connector_type: required, but missing"},
      {"publishers:\n  - name: a\n",
       "c.yaml:2:5: publishers[0].publisher_type: required, but missing"},
      {"connectors:\n  - name: In Box\n    connector_type: f\n",
       "c.yaml:2:11: connectors[0].name: expected 1 to 63 of a-z, 0-9, _ and -, starting with a "
       "letter or digit, found the string \"In Box\""},
      {"connectors:\n  - name: \"a\\n\"\n    connector_type: f\n",
       "c.yaml:2:11: connectors[0].name: expected 1 to 63 ..."},
      {"connectors:\n  - name: 7\n    connector_type: f\n",
       "c.yaml:2:11: connectors[0].name: expected a string, found 7"},
      {"connectors: [{name: a, connector_type: f}]\npublishers:\n  - publisher_type: f\n"
       "    name: a\n",
       "c.yaml:4:11: publishers[0].name: the name \"a\" is already that of connectors[0]; names "
       "are "
       "unique among connectors and publishers"},
      {"connectors: [{name: inbox, connector_type: f}]\n"
       "publishers: [{name: outbox, publisher_type: f}]\n"
       "pipelines:\n  - name: p\n    source: inbx\n    sinks: [outbox, inbox, x]\n"
       "    dead_letter: {publisher: outbux}\n",
       "c.yaml:5:13: pipelines[0].source: unknown connector \"inbx\"; known: inbox (did you mean "
       "\"inbox\"?)\n"
       "c.yaml:6:21: pipelines[0].sinks[1]: unknown publisher \"inbox\" (that is a connector, not "
       "a "
       "publisher); known: outbox\n"
       "c.yaml:6:28: pipelines[0].sinks[2]: unknown publisher \"x\"; known: outbox\n"
       "c.yaml:7:30: pipelines[0].dead_letter.publisher: unknown publisher \"outbux\"; known: "
       "outbox (did you mean \"outbox\"?)"},
      {"connectors: [{name: i, connector_type: f}]\npublishers: [{name: o, publisher_type: f}]\n"
       "pipelines:\n  - {name: p, source: i, sinks: [o, {publisher: o}]}\n"
       "  - {name: p, source: i, sinks: [o], dead_letter: o}\n",
       "c.yaml:4:37: pipelines[0].sinks[1]: names a publisher a second time\n"
       "c.yaml:5:12: pipelines[1].name: the name \"p\" is already that of pipelines[0]; names are "
       "unique "
       "among pipelines\n"
       "c.yaml:5:51: pipelines[1].dead_letter: unknown value, found the string \"o\"; known: "
       "store; "
       "a publisher is named as {publisher: <name>}"},
      {"pipelines:\n  - name: p\n    source: i\n    sinks: []\n",
       "c.yaml:3:13: pipelines[0].source: unknown connector \"i\"; there is none\n"
       "c.yaml:4:12: pipelines[0].sinks: needs at least 1, found 0"},
      {"connectors:\n  - name: a\n    connector_type: f\n    timeout_ms: 5\n    timeout: 1\n",
       "c.yaml:5:5: connectors[0].timeout: given twice, also as connectors[0].timeout_ms; keep one "
       "of them"},
      {"connectors:\n  - name: a\n    connector_type: f\n    retry_policy:\n      base_ms: 5\n"
       "      backoff:\n        initial_retry_delay: 1\n",
       "c.yaml:5:7: connectors[0].retry_policy.base_ms: given twice, also as "
       "connectors[0].retry_policy.backoff.initial_retry_delay; keep one of them"},
      {"connectors:\n  - name: a\n    connector_type: f\n    retry_policy:\n      base_ms: 5000\n"
       "      max_delay_ms: 1000\n",
       "c.yaml:5:7: connectors[0].retry_policy: the first delay, 5s, is above the maximum delay, "
       "1s"},
  };
  for (const BadConfig& bad : table) Check(bad);
}

TEST(BadConfig, ServerAndSecurity) {
  const BadConfig table[] = {
      {"server:\n  listen: 0.0.0.0:50051\n",
       "c.yaml:2:11: server.listen: refused without server.api_keys or server.tls: only loopback "
       "(127.0.0.0/8, [::1], localhost, unix:) may be served then"},
      {"server:\n  listen: 127.0.0.1.example.com:1\n", "c.yaml:2:11: server.listen: refused ..."},
      {"server:\n  listen: '[::]:1'\n", "c.yaml:2:11: server.listen: refused ..."},
      {"server:\n  listen: 0.0.0.0:1\n  api_keys: [k]\n  api_key_required: false\n",
       "c.yaml:2:11: server.listen: refused without server.tls while server.api_key_required is "
       "off: ..."},
      {"server:\n  listen: 127.0.0.1\n", "c.yaml:2:11: server.listen: expected host:port, ..."},
      {"server:\n  listen: localhost:65536\n",
       "c.yaml:2:11: server.listen: expected host:port, ..."},
      {"server:\n  listen: ::1:80\n", "c.yaml:2:11: server.listen: expected host:port, ..."},
      {"server:\n  listen: 'unix:'\n", "c.yaml:2:11: server.listen: expected host:port, ..."},
      {"server:\n  http: {listen: 0.0.0.0:9464}\n",
       "c.yaml:2:18: server.http.listen: refused without server.api_keys and ..."},
      {"server:\n  http: {listen: 0.0.0.0:1}\n  api_keys: [k]\n  api_key_required: false\n",
       "c.yaml:2:18: server.http.listen: refused without server.api_keys and ..."},
      {"server:\n  http: {listen: 'unix:/x'}\n",
       "c.yaml:2:18: server.http.listen: expected host:port or ..."},
      {"server:\n  tls:\n    cert: c.pem\n",
       "c.yaml:3:5: server.tls.key: required beside server.tls.cert, but missing"},
      {"server:\n  tls:\n    client_ca: c.pem\n",
       "c.yaml:3:5: server.tls.cert: required beside server.tls.client_ca, but missing"},
      {"server:\n  api_key_required: true\n",
       "c.yaml:2:3: server.api_keys: a key is required of every request, but there is none; ..."},
      {"server:\n  api_keys: ['', 'a b', 5]\n",
       "c.yaml:2:14: server.api_keys[0]: must not be empty\n"
       "c.yaml:2:18: server.api_keys[1]: holds something else than visible ASCII\n"
       "c.yaml:2:25: server.api_keys[2]: expected a string, found an integer"},
      {"server:\n  rate_limit: {requests_per_second: 0}\n",
       "c.yaml:2:37: server.rate_limit.requests_per_second: must be from 0.001 to 1000000, found "
       "0"},
  };
  for (const BadConfig& bad : table) Check(bad);
}

TEST(BadConfig, References) {
  const BadConfig table[] = {
      {"server:\n  state_dir: x/${NOT_SET}\n",
       "c.yaml:2:14: server.state_dir: environment variable NOT_SET is not set; set it or write "
       "${NOT_SET:-default}"},
      {"server:\n  state_dir: \"${file:/nonexistent/f}\"\n",
       "c.yaml:2:14: server.state_dir: ${file:/nonexistent/f}: cannot be read: No such file or "
       "directory"},
      {"server:\n  state_dir: a${\n", "c.yaml:2:14: server.state_dir: \"${\" without \"}\"; ..."},
      {"server:\n  state_dir: ${1x}\n", "c.yaml:2:14: server.state_dir: expected ${VARIABLE}, ..."},
      {"connectors:\n  - {name: a, connector_type: f, config_data: {k: '${NOPE}'}}\n",
       "c.yaml:2:51: connectors[0].config_data.k: environment variable NOPE is not set; ..."},
  };
  for (const BadConfig& bad : table) Check(bad);
}

TEST(BadConfig, EnvironmentVariables) {
  EXPECT_EQ(Errors("", {{"MFN_ENV", "prdo"}}),
            "c.yaml: environment variable MFN_ENV: unknown stage; known: dev, staging, prod (did "
            "you mean \"prod\"?)");
  EXPECT_EQ(Errors("", {{"MFN_RATE_LIMIT_ENABLED", "maybe"}}),
            "c.yaml: environment variable MFN_RATE_LIMIT_ENABLED: expected true, 1, yes, false, 0 "
            "or no");
  EXPECT_THAT(Errors("", {{"MFN_ENV", "prod"}}), HasSubstr("a key is required"));
  EXPECT_THAT(Errors("", {{"MFN_API_KEY", "s3cret key"}}), Not(HasSubstr("s3cret")));
}

TEST(BadConfig, WhatWasPutInIsNotQuoted) {
  const std::map<std::string, std::string> env = {{"SECRET", "hunter2 "}, {"BAD", "\xff"}};
  const std::string errors = Errors(R"(connectors:
  - name: ${SECRET}
    connector_type: f
    timeout_ms: ${SECRET}
    retry_policy: {backoff: "${SECRET}"}
    config_data: {k: "${BAD}"}
)",
                                    env);
  EXPECT_THAT(errors, Not(HasSubstr("hunter2")));
  EXPECT_THAT(errors, HasSubstr("c.yaml:4:17: connectors[0].timeout_ms: expected an integer from 1 "
                                "to 3600000, found a string"));
  EXPECT_THAT(errors, HasSubstr("config_data.k: the text that was put in is not UTF-8"));
}

TEST(BadConfig, ANameThatWasPutInIsNotQuotedByOthers) {
  const std::string errors = Errors(R"(connectors:
  - {name: "${SECRET}", connector_type: f}
  - {name: "${SECRET}", connector_type: f}
  - {name: shown, connector_type: f}
pipelines:
  - name: p
    source: "${SECRET}2"
    sinks: ["${SECRET}", {publisher: "${SECRET}"}]
    dead_letter: {publisher: "${SECRET}"}
)",
                                    {{"SECRET", "hunter2"}});
  EXPECT_THAT(errors, Not(HasSubstr("hunter2")));
  EXPECT_THAT(errors, HasSubstr("the name is already that of connectors[0]"));
  EXPECT_THAT(errors, HasSubstr("pipelines[0].source: unknown connector; known: shown"));
  EXPECT_THAT(errors, HasSubstr("sinks[0]: unknown publisher (that is a connector"));
}

TEST(BadConfig, AllProblemsAtOnceInTheOrderOfTheFile) {
  const std::string errors = Errors(R"(pipelines:
  - {name: p, source: nope, sinks: [out], wrokers: 2}
publishers:
  - name: OUT
    publisher_type: file
    batch_size: 0
server:
  listen: 0.0.0.0:1
  state_dir: ${NOT_SET}
)");
  std::vector<std::string> places;
  for (absl::string_view line : absl::StrSplit(errors, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, ": ");
    places.push_back(absl::StrCat(parts[0], " ", parts[1]));
  }
  EXPECT_THAT(places, testing::ElementsAre(
                          "c.yaml:2:23 pipelines[0].source", "c.yaml:2:37 pipelines[0].sinks[0]",
                          "c.yaml:2:43 pipelines[0].wrokers", "c.yaml:4:11 publishers[0].name",
                          "c.yaml:6:17 publishers[0].batch_size", "c.yaml:8:11 server.listen",
                          "c.yaml:9:14 server.state_dir"));
}

TEST(BadConfig, HugeDeepAndMultiplyingTexts) {
  EXPECT_THAT(Errors(std::string((4 << 20) + 1, '#')), HasSubstr("over the limit of 4194304"));
  EXPECT_THAT(Errors("a: " + std::string(5000, '[')), HasSubstr("nested deeper than 64 levels"));
  std::string lol = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    absl::StrAppend(&lol, "a", i, ": &a", i, " [*a", i - 1, ", *a", i - 1, "]\n");
  }
  EXPECT_THAT(Errors(lol), HasSubstr("more than 100000 values or 64 levels"));
  std::string many = "server: {";
  for (int i = 0; i < 500; ++i) absl::StrAppend(&many, "k", i, ": 1, ");
  EXPECT_THAT(Errors(many + "}"), HasSubstr("\nand 400 more"));
}

// The wording knows these; a keyword that it does not know would be refused without a reason.
TEST(ConfigSchema, UsesOnlyKeywordsThatAreWorded) {
  const std::set<std::string> known = {
      "$schema",   "$id",         "$ref",      "title",      "description",
      "default",   "definitions", "type",      "properties", "additionalProperties",
      "required",  "items",       "anyOf",     "enum",       "pattern",
      "minimum",   "maximum",     "minItems",  "maxItems",   "minLength",
      "maxLength", "writeOnly",   "x-expects", "x-hint",     "x-refused"};
  const std::function<void(const nlohmann::json&)> visit = [&](const nlohmann::json& schema) {
    for (const auto& [keyword, value] : schema.items()) {
      EXPECT_TRUE(known.contains(keyword)) << keyword;
      if (keyword == "properties" || keyword == "definitions") {
        for (const nlohmann::json& sub : value) visit(sub);
      }
      if (keyword == "anyOf") {
        for (const nlohmann::json& sub : value) visit(sub);
      }
      if (keyword == "items") visit(value);
    }
  };
  visit(nlohmann::json::parse(ConfigSchemaText()));
}

// Seeded: the same thousands of damaged texts every time.
TEST(BadConfig, MutationsAreReportedWithAPlace) {
  const std::string seed = R"(server: {listen: "127.0.0.1:0", api_keys: ["${KEY}"]}
connectors:
  - name: in  # comment
    connector_type: file
    retry_policy: {backoff: {type: linear, base_ms: 1}}
    config_data: &d {path: "${DIR:-/tmp}", list: [1, 2.5, ~], s: 'q'}
publishers:
  - {name: out, publisher_type: file, config_data: *d}
pipelines:
  - name: p
    source: in
    sinks:
      - out
    dead_letter: store
)";
  const std::string alphabet = "{}[]:,-&*!|>'\"%@`#?~$ \n\t0ax\xc3";
  const EnvLookup env = Env({{"KEY", "k"}});
  ASSERT_TRUE(LoadConfigText(seed, "c.yaml", "", env).ok());
  std::mt19937 random(20240608);
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = seed;
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int edit = 0; edit < edits && !text.empty(); ++edit) {
      const size_t at = random() % text.size();
      switch (random() % 5) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 30));
          break;
        case 3:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        default:
          text.resize(at);
          break;
      }
    }
    const absl::StatusOr<Config> config = LoadConfigText(text, "c.yaml", "", env);
    if (config.ok()) {
      ++accepted;
      continue;
    }
    ASSERT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    for (absl::string_view line : absl::StrSplit(config.status().message(), '\n')) {
      ASSERT_TRUE(absl::StartsWith(line, "c.yaml:") || absl::StartsWith(line, "and ")) << line;
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 2500);
}

}  // namespace
}  // namespace mfn
