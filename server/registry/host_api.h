// What a plugin sees of this server: one HostApi per instance (mfn_host) and one mfn_call per call.
#ifndef MFN_SERVER_REGISTRY_HOST_API_H_
#define MFN_SERVER_REGISTRY_HOST_API_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "mfn/plugin.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/log_limit.h"
#include "server/registry/cancel_fd.h"
#include "server/registry/instance.h"

// One call into a plugin. Used by the call's thread only, except deadline and cancellation, which
// any thread may read while the call runs.
struct mfn_call {
  mfn_call(mfn::Clock* clock_in, int64_t deadline, mfn::Cancellation cancel_in,
           mfn::Cancellation stopped_in, mfn::registry::CancelFd* cancel_fd_in)
      : clock(clock_in),
        deadline_ns(deadline),
        cancel(std::move(cancel_in)),
        stopped(std::move(stopped_in)),
        cancel_fd(cancel_fd_in) {}

  struct RecordFailure {
    uint64_t index;
    mfn::registry::Failure failure;
  };

  mfn::Clock* const clock;
  const int64_t deadline_ns;
  const mfn::Cancellation cancel;     // the caller's
  const mfn::Cancellation stopped;    // the instance's end
  std::atomic<bool> given_up{false};  // nobody waits for it any more
  mfn::registry::CancelFd* const cancel_fd;
  std::thread::id thread;  // that it runs on, once it runs
  // The operator's, not owned; null: none.
  const std::vector<mfn::ClassOverride>* overrides = nullptr;
  uint64_t n_records = 0;              // of the batch that is written
  mfn::registry::Failure failure;      // the plugin's last words; its code is not set
  std::vector<RecordFailure> records;  // in the order of fail_record

  bool cancelled() const { return cancel.cancelled() || stopped.cancelled(); }
};

namespace mfn::registry {

struct InstanceContext;

// `now` plus the duration, INT64_MAX rather than beyond it.
int64_t Later(int64_t now_ns, absl::Duration duration);

class HostApi : public mfn_host {
 public:
  explicit HostApi(std::shared_ptr<const InstanceContext> context);
  HostApi(const HostApi&) = delete;
  HostApi& operator=(const HostApi&) = delete;

  // From now on it offers nothing but the log: another component instance has this one's place, and
  // its state and metrics.
  void Fence() { fenced_.store(true); }
  // The plugin has asked for mfn.secrets/1: it follows changed secrets by itself.
  bool resolves_secrets() const { return resolves_secrets_.load(); }

 private:
  struct Functions;  // what the function pointers point to

  const std::shared_ptr<const InstanceContext> context_;
  std::atomic<bool> fenced_{false};
  mutable std::atomic<bool> resolves_secrets_{false};
  mutable LogLimit log_limit_;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_HOST_API_H_
