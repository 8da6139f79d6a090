// A flag that one thread raises and many watch: the end of a call, a pause, the server's shutdown.
//
//   CancellationSource source;
//   worker.Run(source.token());     // polls token.cancelled(), or waits: token.WaitFor(1s)
//   source.Cancel();                // wakes every waiter
//
// Tokens are cheap to copy and outlive their source. Linked sources fire with their parent. All
// of it is thread-safe.
#ifndef MFN_SERVER_BASE_CANCELLATION_H_
#define MFN_SERVER_BASE_CANCELLATION_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace mfn {

class Cancellation {
 public:
  Cancellation();  // never fires

  bool cancelled() const { return state_ != nullptr && Fired(); }
  // Waits until it fires or `duration` has passed; true if it fired.
  bool WaitFor(absl::Duration duration) const;
  // Calls `callback` once when it fires, on the thread that cancels; at once if it has fired.
  // Returns an id for Unsubscribe, which waits for a callback that is running on another thread. 0:
  // already called.
  uint64_t Subscribe(std::function<void()> callback) const;
  void Unsubscribe(uint64_t id) const;

 private:
  friend class CancellationSource;
  struct State;
  explicit Cancellation(std::shared_ptr<State> state);
  bool Fired() const;
  std::shared_ptr<State> state_;  // null: never fires
};

class CancellationSource {
 public:
  CancellationSource();
  // Also fires when `parent` does.
  explicit CancellationSource(const Cancellation& parent);
  ~CancellationSource();
  CancellationSource(const CancellationSource&) = delete;
  CancellationSource& operator=(const CancellationSource&) = delete;

  void Cancel();
  Cancellation token() const;

 private:
  std::shared_ptr<Cancellation::State> state_;
  Cancellation parent_;
  uint64_t subscription_ = 0;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CANCELLATION_H_
