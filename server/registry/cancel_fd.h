// The descriptor behind mfn.cancel-fd/1: made when a plugin first asks, kept for later calls of the
// same thread, so that asking costs no descriptor per call.
#ifndef MFN_SERVER_REGISTRY_CANCEL_FD_H_
#define MFN_SERVER_REGISTRY_CANCEL_FD_H_

#include <atomic>
#include <cstdint>

#include "server/base/cancellation.h"

namespace mfn::registry {

class CancelFd {
 public:
  CancelFd() = default;
  ~CancelFd();
  CancelFd(const CancelFd&) = delete;
  CancelFd& operator=(const CancelFd&) = delete;

  // On the call's thread. A descriptor that becomes readable when one of the two fires or at Raise;
  // the same until Reset. -1: the process has none left.
  int Get(const Cancellation& cancel, const Cancellation& stopped);
  // The call is over. Any thread, beside Get, not beside Reset.
  void Raise();
  // Between two calls: not readable any more, and no longer bound to the tokens.
  void Reset();

 private:
  void Write();

  std::atomic<int> fd_{-1};
  std::atomic<bool> raised_{false};
  bool armed_ = false;
  Cancellation cancel_, stopped_;
  uint64_t cancel_id_ = 0, stopped_id_ = 0;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_CANCEL_FD_H_
