// From a plugin's code and words to what the guarded path and the caller understand.
#ifndef MFN_SERVER_REGISTRY_VERDICT_H_
#define MFN_SERVER_REGISTRY_VERDICT_H_

#include "mfn/plugin.h"
#include "server/registry/host_api.h"
#include "server/registry/instance.h"
#include "server/resilience/guarded_call.h"
#include "server/resilience/outcome.h"

namespace mfn::registry {

// One attempt, judged.
struct Verdict {
  resilience::Outcome outcome = resilience::Outcome::kOk;
  Failure failure;  // ok() exactly if the outcome is kOk
};

// MFN_END means something to a read alone, which does not ask here; from others it is
// MFN_PERMANENT, since taking it for success would lose what was written. MFN_CANCELLED is only the
// caller's or the instance's end; a plugin that returned it for its deadline, or for no reason, was
// out of time. An unknown code is MFN_PERMANENT. What the operator overrides in call.overrides has
// the last word, except on success and cancellation.
Verdict Judge(mfn_code code, Failure words, const mfn_call& call);

Verdict Refused(mfn_code code, const char* reason, std::string message);

// What the caller gets: the last attempt's failure, or why there was none.
Failure Conclude(const resilience::CallResult& result, Failure last, bool closed);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_VERDICT_H_
