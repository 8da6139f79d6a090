#include "server/rpc/resource_proto.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/config_bounds.h"
#include "server/pipeline/codec.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

using pipeline::FieldError;

// Returns early with the first error that is given.
#define MFN_RETURN_IF_ERROR(expression) \
  if (absl::Status s_ = (expression); !s_.ok()) return s_

absl::Status Assign(const google::protobuf::Duration& from, absl::string_view field,
                    const IntBounds& ms, absl::Duration* to) {
  auto value = ReadDuration(from, field, absl::Milliseconds(ms.low), absl::Milliseconds(ms.high));
  if (value.ok()) *to = *value;
  return value.status();
}

absl::Status Check(absl::string_view field, double value, const auto& bounds) {
  return CheckRange(field, value, static_cast<double>(bounds.low),
                    static_cast<double>(bounds.high));
}

absl::Status CheckEnum(absl::string_view field, int value, int max) {
  return CheckRange(field, value, 0, max);
}

bool IsReason(const std::string& text) {
  const auto fits = [](char c) {
    return absl::ascii_isupper(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_';
  };
  return !text.empty() && text.size() <= 64 &&
         absl::ascii_isupper(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), fits);
}

absl::Status ReadOverrides(const mfn::v1::RetryPolicy& from, RetryConfig* to) {
  const std::string list = "connector.retry_policy.overrides";
  if (from.overrides_size() > 64) {
    return FieldError(list, "OUT_OF_RANGE", absl::StrCat(list, " has more than 64 entries"));
  }
  std::set<std::string> seen;
  for (int k = 0; k < from.overrides_size(); ++k) {
    const mfn::v1::FailureOverride& one = from.overrides(k);
    const std::string field = absl::StrCat(list, "[", k, "].");
    if (!IsReason(one.match()) || !seen.insert(one.match()).second) {
      return FieldError(
          absl::StrCat(field, "match"), "INVALID_VALUE",
          absl::StrCat(field,
                       "match must be 1 to 64 of A-Z, 0-9 and _, starting with a letter, "
                       "and stand in one entry only"));
    }
    MFN_RETURN_IF_ERROR(CheckRange(absl::StrCat(field, "as"), one.as(), 1,
                                   mfn::v1::FailureOverride::FailureClass_MAX));
    // The enums count alike, the messages' from 1.
    to->overrides.push_back({one.match(), static_cast<FailureClass>(one.as() - 1)});
  }
  return absl::OkStatus();
}

absl::Status ReadRetry(const mfn::v1::RetryPolicy& from, RetryConfig* to) {
  const absl::string_view prefix = "connector.retry_policy.";
  if (from.has_max_retries()) {
    MFN_RETURN_IF_ERROR(
        Check(absl::StrCat(prefix, "max_retries"), from.max_retries(), config_bounds::kMaxRetries));
    to->max_retries = from.max_retries();
  }
  MFN_RETURN_IF_ERROR(CheckEnum(absl::StrCat(prefix, "backoff"), from.backoff(),
                                mfn::v1::RetryPolicy::Backoff_MAX));
  MFN_RETURN_IF_ERROR(
      CheckEnum(absl::StrCat(prefix, "jitter"), from.jitter(), mfn::v1::RetryPolicy::Jitter_MAX));
  // The enums count alike, the messages' from 1.
  if (from.backoff() > 0) to->backoff = static_cast<BackoffKind>(from.backoff() - 1);
  if (from.jitter() > 0) to->jitter = static_cast<JitterKind>(from.jitter() - 1);
  if (from.has_initial_delay()) {
    MFN_RETURN_IF_ERROR(Assign(from.initial_delay(), absl::StrCat(prefix, "initial_delay"),
                               config_bounds::kInitialDelayMs, &to->initial_delay));
  }
  if (from.has_multiplier()) {
    MFN_RETURN_IF_ERROR(
        Check(absl::StrCat(prefix, "multiplier"), from.multiplier(), config_bounds::kMultiplier));
    to->multiplier = from.multiplier();
  }
  if (from.has_max_delay()) {
    MFN_RETURN_IF_ERROR(Assign(from.max_delay(), absl::StrCat(prefix, "max_delay"),
                               config_bounds::kMaxDelayMs, &to->max_delay));
  }
  if (from.has_budget()) {
    MFN_RETURN_IF_ERROR(
        Check(absl::StrCat(prefix, "budget"), from.budget(), config_bounds::kRetryBudget));
    to->budget = from.budget();
  }
  return ReadOverrides(from, to);
}

absl::Status ReadRatio(const mfn::v1::CircuitBreaker& from, BreakerConfig* to) {
  const absl::string_view prefix = "connector.circuit_breaker.";
  if (from.has_failure_ratio()) {
    MFN_RETURN_IF_ERROR(Check(absl::StrCat(prefix, "failure_ratio"), from.failure_ratio(),
                              config_bounds::kFailureRatio));
    to->failure_ratio = from.failure_ratio();
  }
  if (from.has_ratio_window()) {
    MFN_RETURN_IF_ERROR(Assign(from.ratio_window(), absl::StrCat(prefix, "ratio_window"),
                               config_bounds::kRatioWindowMs, &to->ratio_window));
  }
  if (!from.has_ratio_min_calls()) return absl::OkStatus();
  to->ratio_min_calls = from.ratio_min_calls();
  return Check(absl::StrCat(prefix, "ratio_min_calls"), from.ratio_min_calls(),
               config_bounds::kRatioMinCalls);
}

absl::Status ReadBreaker(const mfn::v1::CircuitBreaker& from, BreakerConfig* to) {
  const absl::string_view prefix = "connector.circuit_breaker.";
  if (from.has_enabled()) to->enabled = from.enabled();
  if (from.has_threshold()) {
    MFN_RETURN_IF_ERROR(Check(absl::StrCat(prefix, "threshold"), from.threshold(),
                              config_bounds::kBreakerThreshold));
    to->threshold = from.threshold();
  }
  if (from.has_timeout()) {
    MFN_RETURN_IF_ERROR(Assign(from.timeout(), absl::StrCat(prefix, "timeout"),
                               config_bounds::kBreakerTimeoutMs, &to->timeout));
  }
  to->max_timeout = std::max(to->max_timeout, to->timeout);
  if (from.has_max_timeout()) {
    const auto limit =
        ReadDuration(from.max_timeout(), absl::StrCat(prefix, "max_timeout"), to->timeout,
                     absl::Milliseconds(config_bounds::kBreakerTimeoutMs.high));
    if (!limit.ok()) return limit.status();
    to->max_timeout = *limit;
  }
  if (from.has_successes_to_close()) {
    MFN_RETURN_IF_ERROR(Check(absl::StrCat(prefix, "successes_to_close"), from.successes_to_close(),
                              config_bounds::kSuccessesToClose));
    to->successes_to_close = from.successes_to_close();
  }
  return ReadRatio(from, to);
}

absl::Status ReadLimits(const mfn::v1::Connector& from, InstanceConfig* to) {
  MFN_RETURN_IF_ERROR(Check("connector.max_concurrent_calls", from.max_concurrent_calls(),
                            config_bounds::kConcurrentCalls));
  to->max_concurrent_calls = from.max_concurrent_calls();
  if (!from.has_rate_limit()) return absl::OkStatus();
  const double rate = from.rate_limit().per_second();
  MFN_RETURN_IF_ERROR(
      Check("connector.rate_limit.per_second", rate, config_bounds::kCallsPerSecond));
  constexpr IntBounds kBurst = config_bounds::kCallBurst;
  to->rate_limit.per_second = rate;
  to->rate_limit.burst =
      static_cast<int>(std::clamp(static_cast<int64_t>(std::ceil(rate)), kBurst.low, kBurst.high));
  if (!from.rate_limit().has_burst()) return absl::OkStatus();
  to->rate_limit.burst = from.rate_limit().burst();
  return Check("connector.rate_limit.burst", from.rate_limit().burst(), kBurst);
}

absl::Status ReadPublisher(const mfn::v1::Connector& from, InstanceConfig* to) {
  MFN_RETURN_IF_ERROR(CheckEnum("connector.delivery_guarantee", from.delivery_guarantee(),
                                mfn::v1::DeliveryGuarantee_MAX));
  const bool given =
      from.delivery_guarantee() > 0 || from.has_batch_size() || from.has_batch_timeout();
  if (given && to->role != InstanceRole::kPublisher) {
    return FieldError("connector.role", "INVALID_VALUE",
                      "delivery_guarantee, batch_size and batch_timeout need ROLE_PUBLISHER");
  }
  if (from.delivery_guarantee() == mfn::v1::DELIVERY_GUARANTEE_AT_MOST_ONCE) {
    to->delivery = DeliveryGuarantee::kAtMostOnce;
  }
  if (from.has_batch_size()) {
    MFN_RETURN_IF_ERROR(
        Check("connector.batch_size", from.batch_size(), config_bounds::kBatchSize));
    to->batch_size = from.batch_size();
  }
  if (!from.has_batch_timeout()) return absl::OkStatus();
  return Assign(from.batch_timeout(), "connector.batch_timeout", config_bounds::kBatchTimeoutMs,
                &to->batch_timeout);
}

absl::Status CheckPipelineBounds(const mfn::v1::Pipeline& from) {
  MFN_RETURN_IF_ERROR(
      CheckEnum("pipeline.processor", from.processor(), mfn::v1::Pipeline::Processor_MAX));
  MFN_RETURN_IF_ERROR(Check("pipeline.workers", from.workers(), config_bounds::kWorkers));
  if (from.has_max_in_flight_records()) {
    MFN_RETURN_IF_ERROR(Check("pipeline.max_in_flight_records", from.max_in_flight_records(),
                              config_bounds::kInFlightRecords));
  }
  if (from.has_max_in_flight_bytes()) {
    MFN_RETURN_IF_ERROR(Check("pipeline.max_in_flight_bytes",
                              static_cast<double>(from.max_in_flight_bytes()),
                              config_bounds::kInFlightBytes));
  }
  if (from.has_max_in_flight_cost()) {
    MFN_RETURN_IF_ERROR(Check("pipeline.max_in_flight_cost",
                              static_cast<double>(from.max_in_flight_cost()),
                              config_bounds::kInFlightCost));
  }
  constexpr IntBounds kSinks = config_bounds::kSinks;
  if (from.sinks_size() < kSinks.low || from.sinks_size() > kSinks.high) {
    return FieldError("pipeline.sinks", "OUT_OF_RANGE",
                      absl::StrCat("pipeline.sinks has ", from.sinks_size(), " entries, must have ",
                                   kSinks.low, " to ", kSinks.high));
  }
  return absl::OkStatus();
}

absl::Status ReadQueue(const mfn::v1::PipelineSink& from, const std::string& field, SinkRef* to) {
  if (from.has_queue_records()) {
    MFN_RETURN_IF_ERROR(Check(absl::StrCat(field, ".queue_records"), from.queue_records(),
                              config_bounds::kQueueRecords));
    to->queue_records = from.queue_records();
  }
  if (from.has_queue_bytes()) {
    MFN_RETURN_IF_ERROR(Check(absl::StrCat(field, ".queue_bytes"),
                              static_cast<double>(from.queue_bytes()), config_bounds::kQueueBytes));
    to->queue_bytes = from.queue_bytes();
  }
  MFN_RETURN_IF_ERROR(CheckEnum(absl::StrCat(field, ".overflow"), from.overflow(),
                                mfn::v1::PipelineSink::Overflow_MAX));
  if (from.overflow() == mfn::v1::PipelineSink::OVERFLOW_DEAD_LETTER) {
    to->overflow = OverflowPolicy::kDeadLetter;
  }
  return absl::OkStatus();
}

absl::Status ReadSinks(const mfn::v1::Pipeline& from, PipelineConfig* to) {
  std::set<std::string> seen;
  for (int k = 0; k < from.sinks_size(); ++k) {
    const std::string field = absl::StrCat("pipeline.sinks[", k, "].publisher");
    auto publisher = ReadReference(from.sinks(k).publisher(), "connectors", field);
    if (!publisher.ok()) return publisher.status();
    if (!seen.insert(*publisher).second) {
      return FieldError(field, "INVALID_VALUE", absl::StrCat(*publisher, " is listed twice"));
    }
    SinkRef sink;
    sink.publisher = *publisher;
    sink.required = !from.sinks(k).has_required() || from.sinks(k).required();
    MFN_RETURN_IF_ERROR(ReadQueue(from.sinks(k), absl::StrCat("pipeline.sinks[", k, "]"), &sink));
    to->sinks.push_back(std::move(sink));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<InstanceConfig> ConnectorFromProto(const std::string& id,
                                                  const mfn::v1::Connector& connector) {
  InstanceConfig config;
  MFN_RETURN_IF_ERROR(CheckId(id, "connector_id"));
  config.name = id;
  MFN_RETURN_IF_ERROR(CheckEnum("connector.role", connector.role(), mfn::v1::Connector::Role_MAX));
  if (connector.role() == mfn::v1::Connector::ROLE_PUBLISHER)
    config.role = InstanceRole::kPublisher;
  config.type = connector.type();
  if (config.type.empty()) {
    return FieldError("connector.type", "REQUIRED",
                      "connector.type must be given; PluginService.ListPlugins names the types");
  }
  if (connector.has_timeout()) {
    MFN_RETURN_IF_ERROR(Assign(connector.timeout(), "connector.timeout", config_bounds::kTimeoutMs,
                               &config.timeout));
  }
  MFN_RETURN_IF_ERROR(ReadRetry(connector.retry_policy(), &config.retry));
  MFN_RETURN_IF_ERROR(ReadBreaker(connector.circuit_breaker(), &config.breaker));
  MFN_RETURN_IF_ERROR(ReadLimits(connector, &config));
  MFN_RETURN_IF_ERROR(ReadPublisher(connector, &config));
  if (connector.has_config_data()) {
    config.config_json.clear();
    const auto written =
        google::protobuf::util::MessageToJsonString(connector.config_data(), &config.config_json);
    if (!written.ok()) {
      return FieldError("connector.config_data", "INVALID_VALUE",
                        absl::StrCat("connector.config_data cannot be written as JSON: ",
                                     std::string(written.message())));
    }
  }
  return config;
}

absl::StatusOr<PipelineConfig> PipelineFromProto(const std::string& id,
                                                 const mfn::v1::Pipeline& pipeline) {
  PipelineConfig config;
  MFN_RETURN_IF_ERROR(CheckId(id, "pipeline_id"));
  config.name = id;
  MFN_RETURN_IF_ERROR(CheckPipelineBounds(pipeline));
  auto source = ReadReference(pipeline.source(), "connectors", "pipeline.source");
  if (!source.ok()) return source.status();
  config.source = *source;
  MFN_RETURN_IF_ERROR(ReadSinks(pipeline, &config));
  if (!pipeline.dead_letter_publisher().empty()) {
    auto publisher = ReadReference(pipeline.dead_letter_publisher(), "connectors",
                                   "pipeline.dead_letter_publisher");
    if (!publisher.ok()) return publisher.status();
    config.dead_letter_publisher = *publisher;
  }
  if (!pipeline.error_publisher().empty()) {
    auto publisher =
        ReadReference(pipeline.error_publisher(), "connectors", "pipeline.error_publisher");
    if (!publisher.ok()) return publisher.status();
    config.error_publisher = *publisher;
  }
  if (pipeline.processor() == mfn::v1::Pipeline::PROCESSOR_PASSTHROUGH) {
    config.processor = ProcessorKind::kPassthrough;
  }
  if (pipeline.has_autostart()) config.autostart = pipeline.autostart();
  config.workers = pipeline.workers();
  if (pipeline.has_max_in_flight_records()) {
    config.max_in_flight_records = pipeline.max_in_flight_records();
  }
  if (pipeline.has_max_in_flight_bytes()) {
    config.max_in_flight_bytes = pipeline.max_in_flight_bytes();
  }
  if (pipeline.has_max_in_flight_cost()) {
    config.max_in_flight_cost = pipeline.max_in_flight_cost();
  }
  return config;
}

std::string BodyOf(const std::string& id, mfn::v1::Connector connector) {
  connector.set_name(id);
  connector.clear_status();
  return connector.SerializeAsString();
}

std::string BodyOf(const std::string& id, mfn::v1::Pipeline pipeline) {
  pipeline.set_name(id);
  pipeline.clear_status();
  return pipeline.SerializeAsString();
}

absl::StatusOr<InstanceConfig> ConnectorFromBody(const std::string& body) {
  mfn::v1::Connector connector;
  if (!connector.ParseFromString(body)) return absl::DataLossError("a kept connector is damaged");
  return ConnectorFromProto(connector.name(), connector);
}

absl::StatusOr<PipelineConfig> PipelineFromBody(const std::string& body) {
  mfn::v1::Pipeline pipeline;
  if (!pipeline.ParseFromString(body)) return absl::DataLossError("a kept pipeline is damaged");
  return PipelineFromProto(pipeline.name(), pipeline);
}

void ToProto(const InstanceConfig& config, const std::string& redacted_json,
             mfn::v1::Connector* out) {
  const bool publisher = config.role == InstanceRole::kPublisher;
  out->set_name(absl::StrCat("connectors/", config.name));
  out->set_role(publisher ? mfn::v1::Connector::ROLE_PUBLISHER
                          : mfn::v1::Connector::ROLE_CONNECTOR);
  out->set_type(config.type);
  SetDuration(config.timeout, out->mutable_timeout());
  mfn::v1::RetryPolicy* retry = out->mutable_retry_policy();
  retry->set_max_retries(config.retry.max_retries);
  retry->set_backoff(
      static_cast<mfn::v1::RetryPolicy::Backoff>(static_cast<int>(config.retry.backoff) + 1));
  retry->set_jitter(
      static_cast<mfn::v1::RetryPolicy::Jitter>(static_cast<int>(config.retry.jitter) + 1));
  SetDuration(config.retry.initial_delay, retry->mutable_initial_delay());
  retry->set_multiplier(config.retry.multiplier);
  SetDuration(config.retry.max_delay, retry->mutable_max_delay());
  retry->set_budget(config.retry.budget);
  for (const ClassOverride& one : config.retry.overrides) {
    mfn::v1::FailureOverride* to = retry->add_overrides();
    to->set_match(one.match);
    to->set_as(static_cast<mfn::v1::FailureOverride::FailureClass>(static_cast<int>(one.as) + 1));
  }
  mfn::v1::CircuitBreaker* breaker = out->mutable_circuit_breaker();
  breaker->set_enabled(config.breaker.enabled);
  breaker->set_threshold(config.breaker.threshold);
  SetDuration(config.breaker.timeout, breaker->mutable_timeout());
  breaker->set_failure_ratio(config.breaker.failure_ratio);
  SetDuration(config.breaker.ratio_window, breaker->mutable_ratio_window());
  breaker->set_ratio_min_calls(config.breaker.ratio_min_calls);
  SetDuration(config.breaker.max_timeout, breaker->mutable_max_timeout());
  breaker->set_successes_to_close(config.breaker.successes_to_close);
  if (config.rate_limit.per_second > 0) {
    out->mutable_rate_limit()->set_per_second(config.rate_limit.per_second);
    out->mutable_rate_limit()->set_burst(config.rate_limit.burst);
  }
  out->set_max_concurrent_calls(config.max_concurrent_calls);
  // Redacted text is the registry's own and parses; if a Struct cannot hold it, it stays away.
  (void)google::protobuf::util::JsonStringToMessage(redacted_json, out->mutable_config_data());
  if (!publisher) return;
  out->set_delivery_guarantee(config.delivery == DeliveryGuarantee::kAtMostOnce
                                  ? mfn::v1::DELIVERY_GUARANTEE_AT_MOST_ONCE
                                  : mfn::v1::DELIVERY_GUARANTEE_AT_LEAST_ONCE);
  out->set_batch_size(config.batch_size);
  SetDuration(config.batch_timeout, out->mutable_batch_timeout());
}

void ToProto(const PipelineConfig& config, mfn::v1::Pipeline* out) {
  out->set_name(absl::StrCat("pipelines/", config.name));
  out->set_source(absl::StrCat("connectors/", config.source));
  out->set_processor(config.processor == ProcessorKind::kPassthrough
                         ? mfn::v1::Pipeline::PROCESSOR_PASSTHROUGH
                         : mfn::v1::Pipeline::PROCESSOR_SIMULATE);
  for (const SinkRef& sink : config.sinks) {
    mfn::v1::PipelineSink* to = out->add_sinks();
    to->set_publisher(absl::StrCat("connectors/", sink.publisher));
    to->set_required(sink.required);
    to->set_queue_records(sink.queue_records);
    to->set_queue_bytes(sink.queue_bytes);
    to->set_overflow(sink.overflow == OverflowPolicy::kDeadLetter
                         ? mfn::v1::PipelineSink::OVERFLOW_DEAD_LETTER
                         : mfn::v1::PipelineSink::OVERFLOW_DROP);
  }
  if (!config.dead_letter_publisher.empty()) {
    out->set_dead_letter_publisher(absl::StrCat("connectors/", config.dead_letter_publisher));
  }
  if (!config.error_publisher.empty()) {
    out->set_error_publisher(absl::StrCat("connectors/", config.error_publisher));
  }
  out->set_autostart(config.autostart);
  out->set_workers(config.workers);
  out->set_max_in_flight_records(config.max_in_flight_records);
  out->set_max_in_flight_bytes(config.max_in_flight_bytes);
  out->set_max_in_flight_cost(config.max_in_flight_cost);
}

void ToProto(const registry::InstanceStatus& status, mfn::v1::ConnectorStatus* out) {
  // The enums count alike, the messages' from 1.
  out->set_state(static_cast<mfn::v1::ConnectorStatus::State>(static_cast<int>(status.state) + 1));
  out->set_breaker(
      static_cast<mfn::v1::ConnectorStatus::Breaker>(static_cast<int>(status.breaker) + 1));
  out->set_last_error(status.last_error);
  if (!status.last_error.empty()) SetTime(status.last_error_time, out->mutable_last_error_time());
  out->set_calls(status.calls);
  out->set_attempts(status.attempts);
  out->set_successes(status.successes);
  out->set_failures(status.failures);
  out->set_retries(status.retries);
  out->set_rejected(status.rejected);
  out->set_breaker_opened(status.breaker_opened);
  out->set_records_in(status.records_in);
  out->set_records_out(status.records_out);
  out->set_mean_attempt_ms(status.mean_attempt_ms);
  out->set_overruns(status.overruns);
  out->set_written_off(status.written_off);
  out->set_stuck_calls(status.stuck_calls);
  out->set_replaced(status.replaced);
  out->set_breaker_control(static_cast<mfn::v1::ConnectorStatus::BreakerControl>(
      static_cast<int>(status.breaker_control) + 1));
  out->set_retry_budget(status.retry_budget);
  out->set_limited(status.limited);
  out->set_budget_exhausted(status.budget_exhausted);
}

void ToProto(const pipeline::PipelineStatus& status, mfn::v1::PipelineStatus* out) {
  out->set_state(static_cast<mfn::v1::PipelineStatus::State>(static_cast<int>(status.state) + 1));
  out->set_error(status.error);
  mfn::v1::Conservation* counts = out->mutable_conservation();
  counts->set_received(status.counts.received);
  counts->set_delivered(status.counts.delivered);
  counts->set_dead_lettered(status.counts.dead_lettered);
  counts->set_dropped(status.counts.dropped);
  counts->set_returned(status.counts.returned);
  counts->set_parked(status.counts.parked);
  counts->set_in_flight(status.counts.in_flight);
  for (const auto& [cause, count] : status.counts.dropped_by_cause) {
    (*counts->mutable_dropped_by_cause())[cause] = count;
  }
  out->set_records_read(status.records_read);
  out->set_records_acked(status.records_acked);
  out->set_replayed(status.replayed);
  out->set_simulate_seconds(status.simulate_seconds);
  out->set_in_flight_records(status.in_flight_records);
  out->set_in_flight_bytes(status.in_flight_bytes);
  out->set_in_flight_cost(status.in_flight_cost);
  for (const pipeline::SinkStatus& from : status.sinks) {
    mfn::v1::PipelineSinkStatus* sink = out->add_sinks();
    sink->set_publisher(absl::StrCat("connectors/", from.publisher));
    sink->set_required(from.required);
    sink->set_held(from.held);
    sink->set_queued_records(from.queued_records);
    sink->set_queued_bytes(from.queued_bytes);
  }
  out->set_dead_letters(status.dead_letters);
  out->set_dead_letter_bytes(status.dead_letter_bytes);
  if (status.dead_letters > 0) {
    SetDuration(status.oldest_dead_letter, out->mutable_oldest_dead_letter_age());
  }
}

#undef MFN_RETURN_IF_ERROR

}  // namespace mfn::rpc
