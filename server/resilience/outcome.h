// How an attempt ended, in the only terms that retry and breaker care about. The caller of a
// guarded call translates its own codes into these.
#ifndef MFN_SERVER_RESILIENCE_OUTCOME_H_
#define MFN_SERVER_RESILIENCE_OUTCOME_H_

#include <cstdint>

#include "absl/time/time.h"

namespace mfn::resilience {

enum class Outcome : uint8_t {
  kOk,
  kRetryable,       // a passing fault
  kOutcomeUnknown,  // sent, and nobody knows what became of it
  kDeadline,        // the attempt's time was up; what became of it is unknown too
  kThrottled,       // the endpoint asks for fewer calls
  kAuth,            // credentials refused
  kNotConnected,    // the session is gone
  kPermanent,       // this input will never be accepted
  kCancelled,       // the caller gave up
};

struct AttemptResult {
  Outcome outcome = Outcome::kOk;
  // How long the endpoint asks to be left alone; zero or less: it did not say.
  absl::Duration retry_after = absl::ZeroDuration();
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_OUTCOME_H_
