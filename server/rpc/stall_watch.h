// Ends streams whose reader takes nothing: what they hold would else be held for as long as the
// reader likes.
//
//   const uint64_t id = watch.Begin([context] { ... cancel the call ... });
//   StartWrite(...);                                     // and when the write is over:
//   watch.End(id);
//
// Thread-safe. One thread for all streams of a server, started with the first write.
#ifndef MFN_SERVER_RPC_STALL_WATCH_H_
#define MFN_SERVER_RPC_STALL_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <thread>

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace grpc {
class CallbackServerContext;
}

namespace mfn::rpc {

class StallWatch {
 public:
  explicit StallWatch(absl::Duration bound);  // 0: no bound, nothing is watched
  ~StallWatch();

  // A write begins; `drop` is called once, on the watch's thread, if it is not over in time.
  uint64_t Begin(std::function<void()> drop);
  // As above; drops the call with ABORTED (READER_STALLED in the text).
  uint64_t Begin(grpc::CallbackServerContext* context);
  // It is over. Waits for a drop that is under way, unless called from it.
  void End(uint64_t id);

 private:
  struct Write {
    int64_t nanos;  // steady time at which it has taken too long
    std::function<void()> drop;
  };
  void Run();

  const absl::Duration bound_;
  Mutex mutex_;
  CondVar changed_;
  std::map<uint64_t, Write> writes_ ABSL_GUARDED_BY(mutex_);  // in the order of their time
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t dropping_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_STALL_WATCH_H_
