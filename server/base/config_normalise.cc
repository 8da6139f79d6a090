// Normalisation of instances and pipelines.
#include "server/base/config_normalise.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/config_fields.h"

namespace mfn {
namespace {

using nlohmann::json;

constexpr int64_t kMaxMs = 86'400'000;

void Report(Problems* problems, const std::string& path, std::string what, bool at_key = false) {
  problems->push_back({.path = path, .what = std::move(what), .at_key = at_key, .at = {}});
}

// One place where a setting may stand: an object, its path, the key.
struct Place {
  const json* object;
  std::string path;
  const char* key;
  double to_unit = 1;  // factor from the key's unit
};

// The place that gives the setting, if one does. More than one is a problem.
std::optional<Place> OnlyOne(const std::vector<Place>& places, Problems* problems) {
  std::optional<Place> given;
  for (const Place& place : places) {
    if (FindMember(*place.object, place.key) == nullptr) continue;
    if (!given.has_value()) {
      given = place;
      continue;
    }
    Report(problems, MemberPath(place.path, place.key),
           absl::StrCat("given twice, also as ", MemberPath(given->path, given->key),
                        "; keep one of them"),
           /*at_key=*/true);
  }
  return given;
}

// Whole milliseconds, from keys in milliseconds and keys in seconds (factor 1000).
std::optional<absl::Duration> DurationOf(const std::vector<Place>& places, Problems* problems) {
  const std::optional<Place> given = OnlyOne(places, problems);
  if (!given.has_value()) return std::nullopt;
  const std::optional<double> number = NumberMember(*given->object, given->key);
  if (!number.has_value()) return std::nullopt;
  const double ms = std::round(*number * given->to_unit);
  if (!(ms >= 0) || ms > static_cast<double>(kMaxMs)) return std::nullopt;
  return absl::Milliseconds(static_cast<int64_t>(ms));
}

std::optional<BackoffKind> BackoffNamed(const std::string& word) {
  static const auto* const kWords =
      new std::map<std::string, BackoffKind>{{"exponential", BackoffKind::kExponential},
                                             {"exponential_backoff", BackoffKind::kExponential},
                                             {"linear", BackoffKind::kLinear},
                                             {"linear_backoff", BackoffKind::kLinear},
                                             {"fixed", BackoffKind::kFixed},
                                             {"fixed_delay", BackoffKind::kFixed},
                                             {"immediate", BackoffKind::kImmediate},
                                             {"none", BackoffKind::kNone},
                                             {"no_retry", BackoffKind::kNone}};
  const auto found = kWords->find(word);
  if (found == kWords->end()) return std::nullopt;
  return found->second;
}

JitterKind JitterNamed(const json& word, JitterKind otherwise) {
  if (word.is_boolean()) return word.get<bool>() ? JitterKind::kFull : JitterKind::kNone;
  if (word == "full") return JitterKind::kFull;
  if (word == "equal") return JitterKind::kEqual;
  if (word == "quarter" || word == "25%" || word == "25 %") return JitterKind::kQuarter;
  if (word == "none") return JitterKind::kNone;
  return otherwise;
}

std::optional<FailureClass> ClassNamed(const std::string& word) {
  if (word == "retryable") return FailureClass::kRetryable;
  if (word == "throttled") return FailureClass::kThrottled;
  if (word == "auth") return FailureClass::kAuth;
  if (word == "not_connected") return FailureClass::kNotConnected;
  if (word == "permanent") return FailureClass::kPermanent;
  return std::nullopt;
}

// The settings of a backoff stand in retry_policy.backoff or beside it.
class RetryReader {
 public:
  RetryReader(const json& policy, std::string path, Problems* problems)
      : policy_(policy),
        backoff_(ObjectMember(policy, "backoff")),
        path_(std::move(path)),
        backoff_path_(MemberPath(path_, "backoff")),
        problems_(problems) {}

  RetryConfig Read() {
    RetryConfig retry;
    retry.max_retries = static_cast<int>(
        IntMember(policy_, "max_retries", config_bounds::kMaxRetries).value_or(retry.max_retries));
    ReadStrategy(&retry);
    if (const auto place = OnlyOne(
            {{&backoff_, backoff_path_, "jitter"}, {&policy_, path_, "jitter"}}, problems_)) {
      retry.jitter = JitterNamed(*FindMember(*place->object, place->key), retry.jitter);
    }
    if (const auto place = OnlyOne(Either("multiplier", "backoff_multiplier", 1), problems_)) {
      retry.multiplier = NumberMember(*place->object, place->key, config_bounds::kMultiplier)
                             .value_or(retry.multiplier);
    }
    const auto base = DurationOf(Either("base_ms", "initial_retry_delay", 1000), problems_);
    const auto limit = DurationOf(Either("max_delay_ms", "max_retry_delay", 1000), problems_);
    retry.initial_delay = base.value_or(retry.initial_delay);
    retry.max_delay = limit.value_or(std::max(retry.max_delay, retry.initial_delay));
    if (base.has_value() && limit.has_value() && *base > *limit) {
      Report(problems_, path_,
             absl::StrCat("the first delay, ", absl::FormatDuration(*base),
                          ", is above the maximum delay, ", absl::FormatDuration(*limit)));
    }
    retry.budget = static_cast<int>(
        IntMember(policy_, "budget", config_bounds::kRetryBudget).value_or(retry.budget));
    ReadOverrides(&retry);
    return retry;
  }

 private:
  std::vector<Place> Either(const char* key, const char* alias, double alias_unit) const {
    return {{&backoff_, backoff_path_, key},
            {&backoff_, backoff_path_, alias, alias_unit},
            {&policy_, path_, key},
            {&policy_, path_, alias, alias_unit}};
  }

  void ReadStrategy(RetryConfig* retry) {
    std::vector<Place> places = {{&backoff_, backoff_path_, "type"},
                                 {&backoff_, backoff_path_, "strategy"},
                                 {&policy_, path_, "strategy"}};
    // "backoff: linear", the short form.
    if (StringMember(policy_, "backoff").has_value())
      places.push_back({&policy_, path_, "backoff"});
    const std::optional<Place> given = OnlyOne(places, problems_);
    if (!given.has_value()) return;
    const std::string word = StringMember(*given->object, given->key).value_or("");
    retry->backoff = BackoffNamed(word).value_or(retry->backoff);
    if (retry->backoff == BackoffKind::kNone) retry->max_retries = 0;
  }

  void ReadOverrides(RetryConfig* retry) {
    const json* list = FindMember(policy_, "overrides");
    std::set<std::string> seen;
    for (size_t i = 0; list != nullptr && list->is_array() && i < list->size(); ++i) {
      const auto match = StringMember((*list)[i], "match");
      const auto as = ClassNamed(StringMember((*list)[i], "as").value_or(""));
      if (!match.has_value() || !as.has_value()) continue;  // the schema has complained
      if (!seen.insert(*match).second) {
        Report(problems_, ItemPath(MemberPath(path_, "overrides"), i),
               absl::StrCat("overrides ", *match, " a second time"));
      }
      retry->overrides.push_back({*match, *as});
    }
  }

  const json& policy_;
  const json& backoff_;
  const std::string path_;
  const std::string backoff_path_;
  Problems* const problems_;
};

BreakerConfig ReadBreaker(const json& instance, const std::string& path, Problems* problems) {
  const json& value = ObjectMember(instance, "circuit_breaker");
  const std::string at = MemberPath(path, "circuit_breaker");
  BreakerConfig breaker;
  breaker.enabled = BoolMember(value, "enabled").value_or(breaker.enabled);
  const std::vector<Place> thresholds = {{&value, at, "threshold"},
                                         {&value, at, "circuit_breaker_threshold"},
                                         {&instance, path, "circuit_breaker_threshold"}};
  if (const auto place = OnlyOne(thresholds, problems)) {
    breaker.threshold =
        static_cast<int>(IntMember(*place->object, place->key, config_bounds::kBreakerThreshold)
                             .value_or(breaker.threshold));
  }
  breaker.failure_ratio = NumberMember(value, "failure_ratio", config_bounds::kFailureRatio)
                              .value_or(breaker.failure_ratio);
  if (const auto window = IntMember(value, "ratio_window_ms", config_bounds::kRatioWindowMs)) {
    breaker.ratio_window = absl::Milliseconds(*window);
  }
  breaker.ratio_min_calls =
      static_cast<int>(IntMember(value, "ratio_min_calls", config_bounds::kRatioMinCalls)
                           .value_or(breaker.ratio_min_calls));
  breaker.timeout =
      DurationOf({{&value, at, "timeout_ms"}, {&value, at, "timeout", 1000}}, problems)
          .value_or(breaker.timeout);
  breaker.max_timeout =
      absl::Milliseconds(IntMember(value, "max_timeout_ms", config_bounds::kBreakerTimeoutMs)
                             .value_or(std::max(absl::ToInt64Milliseconds(breaker.max_timeout),
                                                absl::ToInt64Milliseconds(breaker.timeout))));
  if (breaker.max_timeout < breaker.timeout) {
    Report(problems, MemberPath(at, "max_timeout_ms"),
           absl::StrCat("is below timeout_ms, ", absl::FormatDuration(breaker.timeout)));
  }
  breaker.successes_to_close =
      static_cast<int>(IntMember(value, "successes_to_close", config_bounds::kSuccessesToClose)
                           .value_or(breaker.successes_to_close));
  return breaker;
}

RateLimitConfig ReadRateLimit(const json& instance) {
  const json& value = ObjectMember(instance, "rate_limit");
  RateLimitConfig limit;
  const auto rate = NumberMember(value, "per_second", config_bounds::kCallsPerSecond);
  if (!rate) return limit;
  limit.per_second = *rate;
  constexpr IntBounds kBurst = config_bounds::kCallBurst;
  limit.burst = static_cast<int>(
      IntMember(value, "burst", kBurst)
          .value_or(std::clamp(static_cast<int64_t>(std::ceil(*rate)), kBurst.low, kBurst.high)));
  return limit;
}

std::string ReadType(const json& value, InstanceRole role, const std::string& path,
                     Problems* problems) {
  const bool publisher = role == InstanceRole::kPublisher;
  const char* own = publisher ? "publisher_type" : "connector_type";
  const char* other = publisher ? "connector_type" : "publisher_type";
  const std::vector<Place> places = {{&value, path, own}, {&value, path, other}};
  const std::optional<Place> given = OnlyOne(places, problems);
  if (!given.has_value()) {
    Report(problems, MemberPath(path, own), "required, but missing");
    return "";
  }
  return StringMember(*given->object, given->key).value_or("");
}

}  // namespace

InstanceConfig NormaliseInstance(const json& value, InstanceRole role, const std::string& path,
                                 Problems* problems) {
  InstanceConfig instance;
  instance.role = role;
  if (!value.is_object()) return instance;
  instance.name = StringMember(value, "name").value_or("");
  instance.type = ReadType(value, role, path, problems);
  instance.enabled = BoolMember(value, "enabled").value_or(instance.enabled);
  instance.timeout =
      DurationOf({{&value, path, "timeout_ms"}, {&value, path, "timeout", 1000}}, problems)
          .value_or(instance.timeout);
  instance.retry =
      RetryReader(ObjectMember(value, "retry_policy"), MemberPath(path, "retry_policy"), problems)
          .Read();
  instance.breaker = ReadBreaker(value, path, problems);
  instance.rate_limit = ReadRateLimit(value);
  instance.max_concurrent_calls = static_cast<int>(
      IntMember(value, "max_concurrent_calls", config_bounds::kConcurrentCalls).value_or(0));
  json data = ObjectMember(value, "config_data");
  if (role == InstanceRole::kPublisher) {
    if (StringMember(value, "delivery_guarantee") == "at_most_once") {
      instance.delivery = DeliveryGuarantee::kAtMostOnce;
    }
    instance.batch_size = static_cast<int>(
        IntMember(value, "batch_size", config_bounds::kBatchSize).value_or(instance.batch_size));
    if (const auto ms = IntMember(value, "batch_timeout_ms", config_bounds::kBatchTimeoutMs)) {
      instance.batch_timeout = absl::Milliseconds(*ms);
    }
    const bool compress = BoolMember(value, "enable_compression").value_or(false);
    if (compress && !data.contains("compression")) data["compression"] = "gzip";
  }
  instance.config_json = data.dump(-1, ' ', false, json::error_handler_t::replace);
  return instance;
}

PipelineConfig NormalisePipeline(const json& value, const std::string& path, Problems* problems) {
  PipelineConfig pipeline;
  if (!value.is_object()) return pipeline;
  pipeline.name = StringMember(value, "name").value_or("");
  pipeline.source = StringMember(value, "source").value_or("");
  if (StringMember(value, "processor") == "passthrough") {
    pipeline.processor = ProcessorKind::kPassthrough;
  }
  std::set<std::string> seen;
  const json* sinks = FindMember(value, "sinks");
  for (size_t i = 0; sinks != nullptr && sinks->is_array() && i < sinks->size(); ++i) {
    const json& sink = (*sinks)[i];
    SinkRef reference;
    reference.publisher =
        sink.is_string() ? sink.get<std::string>() : StringMember(sink, "publisher").value_or("");
    reference.required = BoolMember(sink, "required").value_or(true);
    const json& queue = ObjectMember(sink, "queue");
    reference.queue_records =
        static_cast<int>(IntMember(queue, "records", config_bounds::kQueueRecords)
                             .value_or(reference.queue_records));
    reference.queue_bytes =
        IntMember(queue, "bytes", config_bounds::kQueueBytes).value_or(reference.queue_bytes);
    if (StringMember(sink, "overflow") == "dead_letter") {
      reference.overflow = OverflowPolicy::kDeadLetter;
    }
    if (!reference.publisher.empty() && !seen.insert(reference.publisher).second) {
      Report(problems, ItemPath(MemberPath(path, "sinks"), i), "names a publisher a second time");
    }
    pipeline.sinks.push_back(std::move(reference));
  }
  pipeline.dead_letter_publisher =
      StringMember(ObjectMember(value, "dead_letter"), "publisher").value_or("");
  pipeline.error_publisher = StringMember(value, "error_publisher").value_or("");
  pipeline.autostart = BoolMember(value, "autostart").value_or(pipeline.autostart);
  pipeline.workers = static_cast<int>(
      IntMember(value, "workers", config_bounds::kWorkers).value_or(pipeline.workers));
  const json& bounds = ObjectMember(value, "max_in_flight");
  pipeline.max_in_flight_records =
      static_cast<int>(IntMember(bounds, "records", config_bounds::kInFlightRecords)
                           .value_or(pipeline.max_in_flight_records));
  pipeline.max_in_flight_bytes = IntMember(bounds, "bytes", config_bounds::kInFlightBytes)
                                     .value_or(pipeline.max_in_flight_bytes);
  pipeline.max_in_flight_cost =
      IntMember(bounds, "cost", config_bounds::kInFlightCost).value_or(pipeline.max_in_flight_cost);
  return pipeline;
}

}  // namespace mfn
