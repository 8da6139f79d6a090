// What one attempt of a call came to, in the words that retry and breaker think in. The registry
// translates plugin codes to these; nothing here knows of plugins.
#ifndef MFN_SERVER_RESILIENCE_OUTCOME_H_
#define MFN_SERVER_RESILIENCE_OUTCOME_H_

#include "absl/time/time.h"

namespace mfn::resilience {

enum class CallClass {
  kOk,
  kRetryable,     // a passing fault; also a deadline that passed in the plugin
  kThrottled,     // after retry_after; pauses, does not count against the endpoint
  kAuth,          // retried once
  kNotConnected,  // the attempt reconnects first
  kPermanent,     // this input's fault, or something that no retry mends
  kCancelled,     // by the caller
  kRejected,      // by an open breaker: the endpoint was not called
};

enum class BreakerSignal { kSuccess, kFailure, kNeutral };

struct AttemptResult {
  CallClass call_class = CallClass::kOk;
  absl::Duration retry_after = absl::ZeroDuration();
  // The endpoint may or may not have acted; repeated only if the call is idempotent.
  bool outcome_unknown = false;
  // Part of a batch succeeded: the endpoint is there, whatever the class says of the rest.
  bool partial_success = false;
};

inline BreakerSignal SignalOf(const AttemptResult& result) {
  if (result.partial_success) return BreakerSignal::kSuccess;
  switch (result.call_class) {
    case CallClass::kOk:
      return BreakerSignal::kSuccess;
    case CallClass::kRetryable:
    case CallClass::kNotConnected:
    case CallClass::kAuth:
      return BreakerSignal::kFailure;
    case CallClass::kThrottled:
    case CallClass::kPermanent:
    case CallClass::kCancelled:
    case CallClass::kRejected:
      break;
  }
  return BreakerSignal::kNeutral;
}

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_OUTCOME_H_
