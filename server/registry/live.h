// A component instance inside its plugin, from create to destroy.
//
// Shared by the Instance, by every call that is running and by every batch that is out; destroy
// runs when the last of them lets go, so never beside a call or a release and never before one. A
// call that never comes back keeps its component instance for ever, which is the only safe thing
// left.
#ifndef MFN_SERVER_REGISTRY_LIVE_H_
#define MFN_SERVER_REGISTRY_LIVE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/registry/host_api.h"

namespace mfn::registry {

struct Live {
  Live(std::shared_ptr<const InstanceContext> context_in, std::string config_json_in);
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  const std::shared_ptr<const InstanceContext> context;
  const std::string config_json;  // with the secrets as they were when it was made
  HostApi host;
  void* self = nullptr;  // the plugin's
  // Of a sink: writes of this epoch or a later one are covered by its next flush.
  std::atomic<uint64_t> epoch;
  // How long whoever lets go last waits for destroy.
  std::atomic<int64_t> destroy_bound_ns{absl::ToInt64Nanoseconds(absl::Seconds(5))};
};

// The component's own validate. INVALID_ARGUMENT "/field: ...".
absl::Status ValidateByComponent(const std::shared_ptr<const InstanceContext>& context);

// Calls create within the configured timeout; does not connect. INVALID_ARGUMENT as above;
// DEADLINE_EXCEEDED: create did not return.
absl::StatusOr<std::shared_ptr<Live>> MakeLive(std::shared_ptr<const InstanceContext> context,
                                               std::string config_json, const Cancellation& cancel,
                                               const Cancellation& stopped);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_LIVE_H_
