// How the longer computations of this folder end when their caller no longer wants them.
#ifndef MFN_SERVER_ENGINE_MATH_CANCELLED_H_
#define MFN_SERVER_ENGINE_MATH_CANCELLED_H_

#include "server/engine/error.h"

namespace mfn::engine {

inline Error Cancelled() {
  Error error;
  error.kind = ErrorKind::kCancelled;
  error.message = "cancelled by the caller";
  return error;
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_MATH_CANCELLED_H_
