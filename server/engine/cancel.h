// How a caller ends a computation that it no longer wants.

#ifndef MFN_SERVER_ENGINE_CANCEL_H_
#define MFN_SERVER_ENGINE_CANCEL_H_

#include <functional>

#include "server/engine/error.h"

namespace mfn::engine {

// Polled every few milliseconds of a computation, which true ends with kCancelled; empty: never.
// Must not throw.
using CancelCheck = std::function<bool()>;

inline bool IsCancelled(const CancelCheck& cancel) { return cancel && cancel(); }

inline Error Cancelled() {
  Error error;
  error.kind = ErrorKind::kCancelled;
  error.message = "cancelled by the caller";
  return error;
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_CANCEL_H_
