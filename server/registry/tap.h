// Looking at the records that go through an instance, while they do.
//
//   instance->taps().Add(tap);   // tap->See(...) for every record from now on
//   instance->taps().Remove(tap.get());
//
// Thread-safe. With nobody looking, a batch costs one relaxed atomic load.
#ifndef MFN_SERVER_REGISTRY_TAP_H_
#define MFN_SERVER_REGISTRY_TAP_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "mfn/plugin.h"
#include "server/base/mutex.h"

namespace mfn::registry {

enum class TapDirection {
  kIn,   // read from the plugin, or its answer to an execute
  kOut,  // written to the plugin, or the request of an execute
};

class Tap {
 public:
  virtual ~Tap() = default;
  // On the thread that works, which waits for it: be quick, and do not call back. The record is
  // borrowed until it returns. `outcome`: of a written record.
  virtual void See(TapDirection direction, const mfn_record& record, mfn_code outcome) = 0;
};

class TapPoint {
 public:
  bool tapped() const { return count_.load(std::memory_order_relaxed) != 0; }
  void Add(std::shared_ptr<Tap> tap);
  void Remove(const Tap* tap);  // it may be in a See for a moment longer

  // `outcome` holds for all of them.
  void See(TapDirection direction, absl::Span<const mfn_record> records, mfn_code outcome = MFN_OK);

 private:
  std::atomic<int> count_{0};
  Mutex mutex_;
  std::vector<std::shared_ptr<Tap>> taps_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_TAP_H_
