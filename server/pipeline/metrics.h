// What the pipelines have to say to whoever watches the server; server/observability/README.md
// lists the names.
#ifndef MFN_SERVER_PIPELINE_METRICS_H_
#define MFN_SERVER_PIPELINE_METRICS_H_

#include "server/base/metric_set.h"
#include "server/pipeline/pipeline.h"

namespace mfn::pipeline {

// Pipelines and simulations. One snapshot per pipeline, so that its conservation holds within one
// scrape. Thread-safe.
void CollectMetrics(const PipelineManager& pipelines, MetricSet* out);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_METRICS_H_
