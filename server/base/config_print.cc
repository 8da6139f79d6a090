// The normalised configuration as block-style YAML.
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/config_loader.h"
#include "server/base/json.h"
#include "server/base/secrets.h"

namespace mfn {
namespace {

using Ordered = nlohmann::ordered_json;

// Letters first, then what cannot be taken for anything else than a word.
bool PlainWord(absl::string_view text) {
  if (text.empty() || !absl::ascii_isalpha(static_cast<unsigned char>(text[0]))) return false;
  for (const char c : text) {
    const bool word = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ||
                      c == '/' || c == '.';
    if (!word) return false;
  }
  const std::string lower = absl::AsciiStrToLower(text);
  for (const char* reserved : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}) {
    if (lower == reserved) return false;
  }
  return true;
}

std::string Text(const std::string& text) {
  if (PlainWord(text)) return text;
  // A JSON string is a double-quoted YAML scalar; "${" would be read as a reference.
  const std::string quoted =
      Ordered(text).dump(-1, ' ', /*ensure_ascii=*/false, Ordered::error_handler_t::replace);
  return absl::StrReplaceAll(quoted, {{"${", "$${"}});
}

// Keys are not interpolated.
std::string Key(const std::string& key) {
  return PlainWord(key) ? key
                        : Ordered(key).dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

std::string Scalar(const Ordered& value) {
  return value.is_string() ? Text(value.get<std::string>()) : value.dump();
}

bool Inline(const Ordered& value) { return !value.is_structured() || value.empty(); }

// Appends the members or items, each on lines of its own indented by `indent`; the first line is
// already indented when it follows "- ".
void PrintBlock(const Ordered& value, int indent, bool first_indented, std::string* out) {
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (!first_indented) out->append(static_cast<size_t>(indent), ' ');
    first_indented = false;
    const bool in_list = value.is_array();
    absl::StrAppend(out, in_list ? std::string("-") : absl::StrCat(Key(it.key()), ":"));
    if (Inline(*it)) {
      absl::StrAppend(out, " ", Scalar(*it), "\n");
    } else if (in_list) {
      out->push_back(' ');
      PrintBlock(*it, indent + 2, /*first_indented=*/true, out);
    } else {
      out->push_back('\n');
      PrintBlock(*it, indent + 2, /*first_indented=*/false, out);
    }
  }
}

int64_t Ms(absl::Duration duration) { return absl::ToInt64Milliseconds(duration); }

const char* BackoffName(BackoffKind kind) {
  switch (kind) {
    case BackoffKind::kExponential:
      return "exponential";
    case BackoffKind::kLinear:
      return "linear";
    case BackoffKind::kFixed:
      return "fixed";
    case BackoffKind::kImmediate:
      return "immediate";
    case BackoffKind::kNone:
      return "none";
  }
  return "none";
}

const char* JitterName(JitterKind kind) {
  switch (kind) {
    case JitterKind::kFull:
      return "full";
    case JitterKind::kEqual:
      return "equal";
    case JitterKind::kQuarter:
      return "quarter";
    case JitterKind::kNone:
      return "none";
  }
  return "none";
}

const char* ClassName(FailureClass as) {
  switch (as) {
    case FailureClass::kRetryable:
      return "retryable";
    case FailureClass::kThrottled:
      return "throttled";
    case FailureClass::kAuth:
      return "auth";
    case FailureClass::kNotConnected:
      return "not_connected";
    case FailureClass::kPermanent:
      return "permanent";
  }
  return "permanent";
}

Ordered Retry(const RetryConfig& retry) {
  Ordered backoff;
  backoff["type"] = BackoffName(retry.backoff);
  backoff["base_ms"] = Ms(retry.initial_delay);
  backoff["multiplier"] = retry.multiplier;
  backoff["max_delay_ms"] = Ms(retry.max_delay);
  backoff["jitter"] = JitterName(retry.jitter);
  Ordered out;
  out["max_retries"] = retry.max_retries;
  out["backoff"] = std::move(backoff);
  out["budget"] = retry.budget;
  out["overrides"] = Ordered::array();
  for (const ClassOverride& one : retry.overrides) {
    Ordered item;
    item["match"] = one.match;
    item["as"] = ClassName(one.as);
    out["overrides"].push_back(std::move(item));
  }
  return out;
}

Ordered Breaker(const BreakerConfig& breaker) {
  Ordered out;
  out["enabled"] = breaker.enabled;
  out["threshold"] = breaker.threshold;
  out["failure_ratio"] = breaker.failure_ratio;
  out["ratio_window_ms"] = Ms(breaker.ratio_window);
  out["ratio_min_calls"] = breaker.ratio_min_calls;
  out["timeout_ms"] = Ms(breaker.timeout);
  out["max_timeout_ms"] = Ms(breaker.max_timeout);
  out["successes_to_close"] = breaker.successes_to_close;
  return out;
}

Ordered Instance(const InstanceConfig& instance, const RedactedConfigJson& redacted) {
  const bool publisher = instance.role == InstanceRole::kPublisher;
  Ordered out;
  out["name"] = instance.name;
  out[publisher ? "publisher_type" : "connector_type"] = instance.type;
  out["enabled"] = instance.enabled;
  out["timeout_ms"] = Ms(instance.timeout);
  out["retry_policy"] = Retry(instance.retry);
  out["circuit_breaker"] = Breaker(instance.breaker);
  if (instance.rate_limit.per_second > 0) {
    out["rate_limit"]["per_second"] = instance.rate_limit.per_second;
    out["rate_limit"]["burst"] = instance.rate_limit.burst;
  }
  out["max_concurrent_calls"] = instance.max_concurrent_calls;
  if (publisher) {
    out["delivery_guarantee"] =
        instance.delivery == DeliveryGuarantee::kAtMostOnce ? "at_most_once" : "at_least_once";
    out["batch_size"] = instance.batch_size;
    out["batch_timeout_ms"] = Ms(instance.batch_timeout);
  }
  const absl::StatusOr<nlohmann::json> data = ParseJson(redacted(instance));
  if (data.ok() && data->is_object()) out["config_data"] = Ordered(*data);
  return out;
}

Ordered Pipeline(const PipelineConfig& pipeline) {
  Ordered out;
  out["name"] = pipeline.name;
  out["source"] = pipeline.source;
  out["processor"] = pipeline.processor == ProcessorKind::kPassthrough ? "passthrough" : "simulate";
  out["sinks"] = Ordered::array();
  for (const SinkRef& sink : pipeline.sinks) {
    Ordered item;
    item["publisher"] = sink.publisher;
    item["required"] = sink.required;
    item["queue"]["records"] = sink.queue_records;
    item["queue"]["bytes"] = sink.queue_bytes;
    item["overflow"] = sink.overflow == OverflowPolicy::kDeadLetter ? "dead_letter" : "drop";
    out["sinks"].push_back(std::move(item));
  }
  if (pipeline.dead_letter_publisher.empty()) {
    out["dead_letter"] = "store";
  } else {
    out["dead_letter"]["publisher"] = pipeline.dead_letter_publisher;
  }
  if (!pipeline.error_publisher.empty()) out["error_publisher"] = pipeline.error_publisher;
  out["autostart"] = pipeline.autostart;
  out["workers"] = pipeline.workers;
  out["max_in_flight"]["records"] = pipeline.max_in_flight_records;
  out["max_in_flight"]["bytes"] = pipeline.max_in_flight_bytes;
  out["max_in_flight"]["cost"] = pipeline.max_in_flight_cost;
  return out;
}

Ordered Server(const ServerConfig& server) {
  Ordered out;
  out["listen"] = server.listen;
  if (!server.tls.cert_file.empty()) {
    out["tls"]["cert"] = server.tls.cert_file;
    out["tls"]["key"] = server.tls.key_file;
    if (!server.tls.client_ca_file.empty()) out["tls"]["client_ca"] = server.tls.client_ca_file;
  }
  if (!server.http.listen.empty()) out["http"]["listen"] = server.http.listen;
  out["log"]["level"] = server.log.level;
  out["log"]["access"] = server.log.access == AccessLog::kOff     ? "off"
                         : server.log.access == AccessLog::kDebug ? "debug"
                                                                  : "info";
  out["api_keys"] = Ordered::array();
  for (size_t i = 0; i < server.api_keys.size(); ++i) {
    out["api_keys"].push_back(std::string(kRedacted));
  }
  out["api_key_required"] = server.api_key_required;
  out["rate_limit"]["enabled"] = server.rate_limit_enabled;
  out["rate_limit"]["requests_per_second"] = server.rate_limit_per_second;
  out["state_dir"] = server.state_dir;
  out["plugin_dirs"] = server.plugin_dirs;
  out["plugins"]["probe"] = server.plugin_probe;
  if (!server.plugin_pins.empty()) out["plugins"]["sha256"] = server.plugin_pins;
  out["drain_timeout_ms"] = Ms(server.drain_timeout);
  out["stream_stall_timeout_ms"] = Ms(server.stream_stall_timeout);
  out["max_concurrent_simulations"] = server.max_concurrent_simulations;
  out["dead_letters"]["max_age_hours"] = server.dead_letters.max_age / absl::Hours(1);
  out["dead_letters"]["max_bytes"] = server.dead_letters.max_bytes;
  return out;
}

}  // namespace

std::string PrintConfig(const Config& config, const RedactedConfigJson& redacted_config_json) {
  Ordered out;
  out["server"] = Server(config.server);
  out["connectors"] = Ordered::array();
  for (const InstanceConfig& instance : config.connectors) {
    out["connectors"].push_back(Instance(instance, redacted_config_json));
  }
  out["publishers"] = Ordered::array();
  for (const InstanceConfig& instance : config.publishers) {
    out["publishers"].push_back(Instance(instance, redacted_config_json));
  }
  out["pipelines"] = Ordered::array();
  for (const PipelineConfig& pipeline : config.pipelines) {
    out["pipelines"].push_back(Pipeline(pipeline));
  }
  std::string text;
  PrintBlock(out, /*indent=*/0, /*first_indented=*/false, &text);
  return text;
}

}  // namespace mfn
