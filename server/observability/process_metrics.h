// Figures of this process, from /proc: memory, processor time, descriptors, threads, start time,
// under the names that all Prometheus clients use.
//
// Thread-safe. What cannot be read is left out.
#ifndef MFN_SERVER_OBSERVABILITY_PROCESS_METRICS_H_
#define MFN_SERVER_OBSERVABILITY_PROCESS_METRICS_H_

#include "server/base/metric_set.h"

namespace mfn::observability {

void CollectProcessMetrics(MetricSet* out);

}  // namespace mfn::observability

#endif  // MFN_SERVER_OBSERVABILITY_PROCESS_METRICS_H_
