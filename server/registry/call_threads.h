// The threads on which plugin code runs. A call that overruns cannot be ended; but its caller can
// leave. So each call runs on a thread of its own, and its caller waits for it with a bound:
//
//   absl::StatusOr<CallThreads::Lease> lease = threads->Take();
//   PluginCall& call = **lease;                // fill in
//   if (lease->Run(clock, grace)) ...          // call.returned, call.out
//   else ...                                   // written off: thread and call are on their own
//
// A call that was written off keeps its PluginCall, and so all that it can touch, until it returns;
// then its thread releases what it brought and is used again. Threads that wait for work are kept:
// a call makes no thread and allocates nothing once as many exist as run at the same time.
// Thread-safe.
#ifndef MFN_SERVER_REGISTRY_CALL_THREADS_H_
#define MFN_SERVER_REGISTRY_CALL_THREADS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/registry/host_state.h"

namespace mfn::registry {

class CallThread;
struct IdleThreads;
struct PluginCall;

class CallThreads {
 public:
  CallThreads();
  // Ends the threads that wait; one that was written off ends when its call returns.
  ~CallThreads();
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  // A thread for one call, given back at the end of its life. Movable, used by one thread.
  class Lease {
   public:
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&& other) = delete;
    ~Lease();

    PluginCall& operator*() const;
    // Runs the call and waits for it: until `grace` after its deadline, or after its cancellation.
    // False: it was given up, and is not this lease's any more. `clock` outlives the call.
    bool Run(Clock* clock, absl::Duration grace);

   private:
    friend class CallThreads;
    explicit Lease(std::shared_ptr<CallThread> thread);
    std::shared_ptr<CallThread> thread_;
  };

  // RESOURCE_EXHAUSTED: the system has no thread to give.
  absl::StatusOr<Lease> Take();

  // What belongs to the process, as it was when this was made; put back as calls return.
  const HostState& host_state() const;

  // Whether the calling thread is one of these.
  static bool OnCallThread();

 private:
  const std::shared_ptr<IdleThreads> idle_;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_CALL_THREADS_H_
