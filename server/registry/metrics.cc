// Figures of the guarded calls, and of plugins. An instance is labelled "connector": "instance" is
// what Prometheus calls the server it scrapes.
#include "server/registry/metrics.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/histogram_metric.h"

namespace mfn::registry {
namespace {

constexpr std::pair<InstanceState, const char*> kStates[] = {
    {InstanceState::kCreated, "created"},
    {InstanceState::kConnected, "connected"},
    {InstanceState::kDisconnected, "disconnected"},
    {InstanceState::kQuarantined, "quarantined"},
    {InstanceState::kClosed, "closed"},
};

// What Prometheus takes as a name, from whatever a plugin calls it.
std::string MetricWord(absl::string_view text) {
  std::string word(text);
  for (char& c : word) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return word;
}

double BreakerValue(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed:
      return 0;
    case BreakerState::kHalfOpen:
      return 1;
    case BreakerState::kOpen:
      return 2;
    case BreakerState::kPaused:
      return 3;
  }
  return 2;
}

void CollectCalls(const MetricLabels& labels, const InstanceStatus& status, MetricSet* out) {
  const auto with = [&](const char* name, const char* value) {
    MetricLabels more = labels;
    more.emplace_back(name, value);
    return more;
  };
  const auto counter = [&](const char* name, const char* help, MetricLabels of, uint64_t value) {
    out->Counter(name, help, std::move(of), static_cast<double>(value));
  };
  const char* executions = "Guarded calls that ended, retries included in one.";
  counter("connector_execution_count_total", executions, with("outcome", "success"),
          status.successes);
  counter("connector_execution_count_total", executions, with("outcome", "failure"),
          status.failures);
  counter("connector_attempt_count_total", "Calls into the plugin.", labels, status.attempts);
  counter("connector_retry_count_total", "Attempts after the first of a call.", labels,
          status.retries);
  counter("connector_rejected_count_total", "Calls turned away by the open breaker.", labels,
          status.rejected);
  counter("connector_limited_count_total",
          "Calls turned away by the rate limit, or for want of a place.", labels, status.limited);
  counter("connector_retry_budget_exhausted_count_total",
          "Retries that were not made because the budget was spent.", labels,
          status.budget_exhausted);
  out->Gauge("connector_retry_budget_tokens", "What is left of the retry budget.", labels,
             status.retry_budget);
  out->Histogram("connector_execution_duration_seconds", "Time of each call into the plugin.",
                 labels, ToMetric(status.attempt_time));
  counter("connector_overrun_count_total",
          "Calls that came back long after their deadline, or not at all.", labels,
          status.overruns);
  counter("connector_written_off_count_total",
          "Calls that were given up, with their thread: they did not return.", labels,
          status.written_off);
  out->Gauge("connector_stuck_calls", "Calls that were given up and have not returned yet.", labels,
             static_cast<double>(status.stuck_calls));
  counter("connector_replaced_count_total",
          "Instances made anew after such a call, or with changed secrets.", labels,
          status.replaced);
  out->Gauge("connector_circuit_breaker_state",
             "0: closed, 1: half open, 2: open, 3: paused by the endpoint.", labels,
             BreakerValue(status.breaker));
  counter("connector_circuit_breaker_opened_total", "How often the breaker opened.", labels,
          status.breaker_opened);
  const char* records = "Records read from (in) and written to (out) the plugin.";
  counter("connector_records_total", records, with("direction", "in"), status.records_in);
  counter("connector_records_total", records, with("direction", "out"), status.records_out);
  for (const auto& [state, word] : kStates) {
    out->Gauge("connector_state", "1 for the state that the instance is in.", with("state", word),
               state == status.state ? 1 : 0);
  }
}

// "reads" of a counter becomes mfn_plugin_reads_total.
void CollectOwn(const MetricLabels& labels, const PluginMetric& metric, MetricSet* out) {
  std::string name = absl::StrCat("mfn_plugin_", MetricWord(metric.name));
  MetricLabels all = labels;
  for (const auto& [key, value] : metric.labels) {
    std::string word = MetricWord(key);
    const bool taken = word == "connector" || word == "type" || word.empty() ||
                       absl::ascii_isdigit(static_cast<unsigned char>(word[0])) ||
                       absl::StartsWith(word, "_") || word == "le";
    all.emplace_back(taken ? absl::StrCat("plugin_", word) : std::move(word), value);
  }
  if (metric.gauge) {
    out->Gauge(name, "Registered by the plugin.", std::move(all), metric.value);
    return;
  }
  if (!absl::EndsWith(name, "_total")) name += "_total";
  out->Counter(name, "Registered by the plugin.", std::move(all), metric.value);
}

}  // namespace

void CollectMetrics(const Registry& registry, MetricSet* out) {
  size_t series = 0, left_out = 0;
  for (const auto& instance : registry.instances()) {
    const InstanceStatus status = instance->status();
    const MetricLabels labels = {{"connector", instance->name()},
                                 {"type", instance->config().type}};
    CollectCalls(labels, status, out);
    for (const PluginMetric& metric : status.plugin_metrics) {
      if (series == kMaxPluginSeries) {
        ++left_out;
      } else {
        ++series;
        CollectOwn(labels, metric, out);
      }
    }
  }
  out->Gauge("mfn_plugin_series_left_out",
             "Series registered by plugins that are beyond what one scrape holds.", {},
             static_cast<double>(left_out));
}

}  // namespace mfn::registry
