// What an instance shows of its guard, and what an operator may do to it.
#ifndef MFN_SERVER_REGISTRY_GUARD_STATUS_H_
#define MFN_SERVER_REGISTRY_GUARD_STATUS_H_

#include "server/registry/instance.h"
#include "server/resilience/guarded_call.h"

namespace mfn::registry {

// Breaker, budget and counters of calls; the rest as new.
InstanceStatus StatusOf(const resilience::Guard& guard);

void Control(BreakerAction action, resilience::Guard* guard);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_GUARD_STATUS_H_
