// Makes the one implementation of Instance, over a component of a plugin.
#ifndef MFN_SERVER_REGISTRY_INSTANCE_IMPL_H_
#define MFN_SERVER_REGISTRY_INSTANCE_IMPL_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/registry/import.h"
#include "server/registry/instance.h"
#include "server/registry/registry.h"

namespace mfn::registry {

// The component's own validate. INVALID_ARGUMENT "/field: ...".
absl::Status ValidateByComponent(const Component& component, const InstanceConfig& config,
                                 const RegistryOptions& options);

// Calls the component's create; does not connect. The configuration has been validated.
absl::StatusOr<std::shared_ptr<Instance>> MakeInstance(std::shared_ptr<const Component> component,
                                                       const InstanceConfig& config,
                                                       const RegistryOptions& options);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_INSTANCE_IMPL_H_
