// A component instance inside its plugin, from create to destroy.
//
// Shared by the Instance, by every call that is running and by every batch that is out; destroy
// runs when the last of them lets go, so never beside a call or a release and never before one. A
// call that never comes back keeps its instance for ever, which is the only safe thing left.
#ifndef MFN_SERVER_REGISTRY_LIVE_H_
#define MFN_SERVER_REGISTRY_LIVE_H_

#include <memory>
#include <string>
#include <utility>

#include "server/registry/host_api.h"
#include "server/registry/import.h"

namespace mfn::registry {

struct Live {
  Live(std::shared_ptr<const Component> component_in, const std::string& instance,
       store::StateStore* state)
      : component(std::move(component_in)), host(instance, state) {}
  ~Live() {
    if (self != nullptr) component->table.destroy(self);
  }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  const std::shared_ptr<const Component> component;
  HostApi host;
  void* self = nullptr;  // the plugin's
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_LIVE_H_
