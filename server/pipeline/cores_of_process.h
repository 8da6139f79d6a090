// The cores that all simulations of this process share, whoever asked for them: so that a large one
// uses what is idle, and many large ones do not start threads for each.
#ifndef MFN_SERVER_PIPELINE_CORES_OF_PROCESS_H_
#define MFN_SERVER_PIPELINE_CORES_OF_PROCESS_H_

#include "server/engine/cores.h"

namespace mfn::pipeline {

// As many as this process may run on. Thread-safe; helper threads start with the first loan.
engine::Cores& CoresOfProcess();

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_CORES_OF_PROCESS_H_
