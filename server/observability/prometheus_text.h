// A MetricSet in Prometheus's text format, version 0.0.4.
//
// Pure function. Label values and help texts are escaped; who adds a value makes sure that it is
// UTF-8: a scraper refuses the whole page otherwise.
#ifndef MFN_SERVER_OBSERVABILITY_PROMETHEUS_TEXT_H_
#define MFN_SERVER_OBSERVABILITY_PROMETHEUS_TEXT_H_

#include <string>

#include "server/base/metric_set.h"

namespace mfn::observability {

inline constexpr char kPrometheusContentType[] = "text/plain; version=0.0.4; charset=utf-8";

std::string PrometheusText(const MetricSet& set);

}  // namespace mfn::observability

#endif  // MFN_SERVER_OBSERVABILITY_PROMETHEUS_TEXT_H_
