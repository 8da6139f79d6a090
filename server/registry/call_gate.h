// Who may be inside an instance at the same time: the thread tags of mfn/plugin.h.
//
//   kWorker     one at a time, beside kAck and kParallel
//   kAck        one at a time, beside kWorker and kParallel
//   kParallel   up to max_in_flight
//   kExclusive  alone; who waits for it goes before later arrivals of the others
//   kAny        always, until the gate is closed; does not disturb kExclusive
//
// Thread-safe.
#ifndef MFN_SERVER_REGISTRY_CALL_GATE_H_
#define MFN_SERVER_REGISTRY_CALL_GATE_H_

#include <array>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/cancellation.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace mfn::registry {

class CallGate {
 public:
  enum class Mode : uint8_t { kWorker, kAck, kParallel, kExclusive, kAny };

  // `clock` is not owned and outlives the gate.
  CallGate(int max_in_flight, Clock* clock) : max_in_flight_(max_in_flight), clock_(clock) {}

  // Waits for a place; false when the deadline passed, the caller gave up or the gate is closed.
  bool Enter(Mode mode, int64_t deadline_ns, const Cancellation& cancel);
  void Leave(Mode mode);
  // From kExclusive to another mode, without letting anybody between.
  void Downgrade(Mode mode);

  void Close();
  bool closed() const;
  // Waits until nobody is inside, in real time; false when the bound passed first.
  bool WaitIdle(absl::Duration bound);

 private:
  bool HasRoom(Mode mode) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int& Count(Mode mode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return inside_[static_cast<size_t>(mode)];
  }
  int Count(Mode mode) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return inside_[static_cast<size_t>(mode)];
  }

  const int max_in_flight_;
  Clock* const clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::array<int, 5> inside_ ABSL_GUARDED_BY(mutex_) = {};
  int exclusive_waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_CALL_GATE_H_
