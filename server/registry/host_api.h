// What a plugin sees of this server: one HostApi per instance (mfn_host) and one mfn_call per call.
#ifndef MFN_SERVER_REGISTRY_HOST_API_H_
#define MFN_SERVER_REGISTRY_HOST_API_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "mfn/plugin.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/registry/instance.h"

namespace mfn::store {
class StateStore;
}

// One call into a plugin. Used by the calling thread only, except deadline and cancellation, which
// do not change while the call runs.
struct mfn_call {
  mfn_call(mfn::Clock* clock_in, int64_t deadline, const mfn::Cancellation* cancel_in,
           const mfn::Cancellation* stopped_in)
      : clock(clock_in), deadline_ns(deadline), cancel(cancel_in), stopped(stopped_in) {}

  struct RecordFailure {
    uint64_t index;
    mfn::registry::Failure failure;
  };

  mfn::Clock* const clock;
  const int64_t deadline_ns;
  const mfn::Cancellation* const cancel;   // the caller's
  const mfn::Cancellation* const stopped;  // the instance's end
  uint64_t n_records = 0;                  // of the batch that is written
  mfn::registry::Failure failure;          // the plugin's last words; its code is not set
  std::vector<RecordFailure> records;      // in the order of fail_record

  bool cancelled() const { return cancel->cancelled() || stopped->cancelled(); }
};

namespace mfn::registry {

class HostApi : public mfn_host {
 public:
  // `state` may be null and is not owned. `instance` is its name: the owner of its state.
  HostApi(std::string instance, store::StateStore* state);
  HostApi(const HostApi&) = delete;
  HostApi& operator=(const HostApi&) = delete;

  // In the order of registration.
  std::vector<PluginMetric> Metrics() const;

 private:
  static constexpr size_t kMaxMetrics = 256;
  struct Metric {
    PluginMetric about;  // its value stays 0
    std::atomic<double> value{0};
  };
  struct Functions;  // what the function pointers point to

  const std::string instance_;
  store::StateStore* const state_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Metric>> owned_ ABSL_GUARDED_BY(mutex_);
  // By id - 1; set once, read without the mutex.
  std::array<std::atomic<Metric*>, kMaxMetrics> metrics_ = {};
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_HOST_API_H_
