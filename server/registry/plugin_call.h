// One call into a plugin: all that it is given and all that comes back, apart from any caller's
// stack, so that a call that never returns can be left alone with it. Made once per thread and used
// again for each call; used by its caller before and after the call and by its thread meanwhile.
#ifndef MFN_SERVER_REGISTRY_PLUGIN_CALL_H_
#define MFN_SERVER_REGISTRY_PLUGIN_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mfn/plugin.h"
#include "server/registry/cancel_fd.h"
#include "server/registry/host_api.h"
#include "server/registry/live.h"

namespace mfn::registry {

struct PluginCall {
  // Calls the plugin with what is below and nothing else.
  using Code = mfn_code (*)(PluginCall&);

  const char* what = "";  // "write"
  Code code = nullptr;
  std::shared_ptr<Live> live;
  std::optional<mfn_call> call;

  // What the function is given, as far as it has use for it.
  std::shared_ptr<const void> owner;  // of the records in `in`
  mfn_batch in = {};
  uint64_t max_records = 0, max_bytes = 0;
  uint64_t id = 0;                 // of the ack, or of the lane
  std::vector<mfn_code> outcomes;  // of the ack

  // What it answers.
  mfn_code returned = MFN_OK;
  mfn_batch out = {};

  CancelFd cancel_fd;

  bool has_output() const {
    return (returned == MFN_OK || returned == MFN_END) && out.release != nullptr;
  }
  // Lets go of everything; keeps memory and descriptor for the next call.
  void Clear() {
    cancel_fd.Reset();
    call.reset();
    owner.reset();
    in = out = {};
    outcomes.clear();
    live.reset();
  }
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_PLUGIN_CALL_H_
