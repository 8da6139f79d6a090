// The text format: what a scraper reads back.
#include "server/observability/prometheus_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/observability/process_metrics.h"

namespace mfn::observability {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PrometheusText, WritesEveryKind) {
  MetricSet set;
  set.Counter("b_total", "Bs.", {{"x", "1"}, {"y", ""}}, 9007199254740993.0);
  set.Gauge("a", "As.", {}, 0.1);
  set.Histogram("c_seconds", "Cs.", {}, {{0.5, 1}, {3, 2, 4}, 12.5});
  EXPECT_EQ(PrometheusText(set),
            "# HELP a As.\n# TYPE a gauge\na 0.1\n"
            "# HELP b_total Bs.\n# TYPE b_total counter\nb_total{x=\"1\"} 9007199254740992\n"
            "# HELP c_seconds Cs.\n# TYPE c_seconds histogram\n"
            "c_seconds_count 9\nc_seconds_sum 12.5\n"
            "c_seconds_bucket{le=\"0.5\"} 3\nc_seconds_bucket{le=\"1\"} 5\n"
            "c_seconds_bucket{le=\"+Inf\"} 9\n");
}

TEST(PrometheusText, EscapesWhatWouldEndALabel) {
  MetricSet set;
  set.Gauge("a", "H.", {{"x", "q\"b\\n\n"}}, 1);
  EXPECT_THAT(PrometheusText(set), HasSubstr("a{x=\"q\\\"b\\\\n\\n\"} 1\n"));
}

TEST(MetricSet, ANameHasOneKind) {
  MetricSet set;
  set.Gauge("a", "H.", {}, 1);
  set.Counter("a", "Other.", {}, 2);
  EXPECT_THAT(PrometheusText(set), HasSubstr("# HELP a H.\n# TYPE a gauge\na 1\n"));
  EXPECT_THAT(PrometheusText(set), Not(HasSubstr("a 2")));
}

TEST(ProcessMetrics, AreThoseOfThisProcess) {
  MetricSet set;
  CollectProcessMetrics(&set);
  const auto value = [&](const char* name) {
    const auto found = set.families().find(name);
    return found == set.families().end() ? -1.0 : found->second.samples[0].value;
  };
  EXPECT_GT(value("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(value("process_open_fds"), 3);
  EXPECT_GE(value("process_threads"), 1);
  EXPECT_GT(value("process_start_time_seconds"), 1.6e9);
  EXPECT_LE(value("process_start_time_seconds"), static_cast<double>(time(nullptr)) + 1);
  EXPECT_GE(value("process_cpu_seconds_total"), 0);
}

}  // namespace
}  // namespace mfn::observability
