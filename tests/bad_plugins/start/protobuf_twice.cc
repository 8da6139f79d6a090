// DEFECT: brings its own copy of messages that the server has too, and both register with one
// libprotobuf, which then ends the process. COST: the file is not loaded.
#include <mfn/plugin.h>

#include "mfn/v1/simulation.pb.h"

static mfn_code Check(void* self, mfn_call*) {
  const mfn::v1::SimulationRequest request;
  return self == &request ? MFN_PERMANENT : MFN_OK;
}
#define CHECK Check
#include "../sound.h"
