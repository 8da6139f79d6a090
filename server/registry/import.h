// Copies a plugin's descriptors into structs of this host's size, so that a plugin built against
// an older or newer header of the same major version reads as if it were built against this one:
// members it lacks are NULL, members this host does not know are ignored.
//
// Everything that a descriptor can get wrong is found here, once; later code calls what it finds.
#ifndef MFN_SERVER_REGISTRY_IMPORT_H_
#define MFN_SERVER_REGISTRY_IMPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mfn/plugin.h"
#include "server/registry/registry.h"
#include "server/registry/schema.h"

namespace mfn::registry {

// One component with its tables; immutable. A role that the component does not have has a zeroed
// table and the flag false. The functions live as long as the process.
struct Component {
  ComponentInfo info;
  std::string plugin_id;
  uint32_t flags = 0;
  int max_in_flight = 1;
  mfn_component table = {};
  mfn_source source = {};
  mfn_sink sink = {};
  mfn_executor executor = {};
  std::unique_ptr<ConfigSchema> schema;
};

struct ImportedPlugin {
  PluginInfo info;  // path is the caller's to fill in
  std::vector<std::shared_ptr<const Component>> components;
};

// INVALID_ARGUMENT says which component and which member is wrong.
absl::StatusOr<ImportedPlugin> ImportPlugin(const mfn_plugin* plugin);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_IMPORT_H_
