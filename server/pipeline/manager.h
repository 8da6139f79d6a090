// The PipelineManager, for those who set the constants of delivery (tests). Everyone else:
// pipeline.h.
#ifndef MFN_SERVER_PIPELINE_MANAGER_H_
#define MFN_SERVER_PIPELINE_MANAGER_H_

#include <memory>

#include "server/pipeline/pipeline.h"
#include "server/pipeline/tuning.h"

namespace mfn::pipeline {

std::unique_ptr<PipelineManager> MakeManager(const PipelineManager::Options& options,
                                             const Tuning& tuning);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_MANAGER_H_
