// At most so many calls at the same time; others wait for a place. Thread-safe.
#ifndef MFN_SERVER_RESILIENCE_BULKHEAD_H_
#define MFN_SERVER_RESILIENCE_BULKHEAD_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace mfn::resilience {

class Bulkhead {
 public:
  // 0 places: no bound. `clock` is not owned and outlives the bulkhead.
  Bulkhead(int places, Clock* clock) : places_(places), clock_(clock) {}

  bool enabled() const { return places_ > 0; }
  // Waits for a place, which Leave gives back; false when the deadline (monotonic nanoseconds)
  // passed, the caller gave up or the bulkhead is closed.
  bool Enter(int64_t deadline_ns, const Cancellation& cancel);
  void Leave();
  // Turns away who waits and who comes.
  void Close();

 private:
  const int places_;
  Clock* const clock_;
  Mutex mutex_;
  CondVar changed_;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_BULKHEAD_H_
