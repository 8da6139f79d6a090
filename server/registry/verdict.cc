// The tables from codes to outcomes and texts.
#include "server/registry/verdict.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mfn::registry {
namespace {

using resilience::Outcome;
using resilience::Rejection;

void Fill(Failure* failure, const char* reason, const std::string& message) {
  if (failure->reason.empty()) failure->reason = reason;
  if (failure->message.empty()) failure->message = message;
}

void SetNew(Failure* failure, mfn_code code, const char* reason, const std::string& message) {
  failure->code = code;
  failure->reason = reason;
  failure->message = message;
}

mfn_code CodeOf(FailureClass as) {
  switch (as) {
    case FailureClass::kRetryable:
      return MFN_RETRYABLE;
    case FailureClass::kThrottled:
      return MFN_THROTTLED;
    case FailureClass::kAuth:
      return MFN_AUTH;
    case FailureClass::kNotConnected:
      return MFN_NOT_CONNECTED;
    case FailureClass::kPermanent:
      return MFN_PERMANENT;
  }
  return MFN_PERMANENT;
}

Outcome OutcomeOf(FailureClass as) {
  switch (as) {
    case FailureClass::kRetryable:
      return Outcome::kRetryable;
    case FailureClass::kThrottled:
      return Outcome::kThrottled;
    case FailureClass::kAuth:
      return Outcome::kAuth;
    case FailureClass::kNotConnected:
      return Outcome::kNotConnected;
    case FailureClass::kPermanent:
      return Outcome::kPermanent;
  }
  return Outcome::kPermanent;
}

const ClassOverride* Matching(const std::vector<ClassOverride>& overrides, absl::string_view text) {
  const auto found = std::find_if(overrides.begin(), overrides.end(),
                                  [&](const ClassOverride& one) { return one.match == text; });
  return found == overrides.end() ? nullptr : &*found;
}

// What the operator says of such a failure; a reason says more than a code.
void Override(const std::vector<ClassOverride>& overrides, mfn_code code, Verdict* verdict) {
  if (verdict->outcome == Outcome::kOk || verdict->outcome == Outcome::kCancelled) return;
  const ClassOverride* found = Matching(overrides, verdict->failure.reason);
  if (found == nullptr) found = Matching(overrides, CodeName(code));
  if (found == nullptr) return;
  verdict->outcome = OutcomeOf(found->as);
  verdict->failure.code = CodeOf(found->as);
}

Verdict Classify(mfn_code code, Failure words, const mfn_call& call) {
  Verdict verdict{Outcome::kOk, std::move(words)};
  Failure& failure = verdict.failure;
  failure.code = code;
  switch (code) {
    case MFN_OK:
      return Verdict();
    case MFN_END:
      verdict.outcome = Outcome::kPermanent;
      failure.code = MFN_PERMANENT;
      Fill(&failure, "UNKNOWN_CODE", "the plugin returned MFN_END, which only a read may");
      return verdict;
    case MFN_RETRYABLE:
      verdict.outcome =
          failure.reason == "OUTCOME_UNKNOWN" ? Outcome::kOutcomeUnknown : Outcome::kRetryable;
      Fill(&failure, "RETRYABLE", "the plugin reports a passing fault without a message");
      return verdict;
    case MFN_THROTTLED:
      verdict.outcome = Outcome::kThrottled;
      Fill(&failure, "THROTTLED", "the endpoint asks for fewer calls");
      return verdict;
    case MFN_AUTH:
      verdict.outcome = Outcome::kAuth;
      Fill(&failure, "AUTH", "the endpoint refuses the credentials");
      return verdict;
    case MFN_NOT_CONNECTED:
      verdict.outcome = Outcome::kNotConnected;
      Fill(&failure, "NOT_CONNECTED", "there is no session with the endpoint");
      return verdict;
    case MFN_CANCELLED:
      if (call.cancelled()) {
        verdict.outcome = Outcome::kCancelled;
        Fill(&failure, "CANCELLED", "the call was cancelled");
      } else {
        verdict.outcome = Outcome::kDeadline;
        SetNew(&failure, MFN_RETRYABLE, "DEADLINE_EXCEEDED",
               "the plugin was still waiting when the time of the attempt was up");
      }
      return verdict;
    case MFN_UNSUPPORTED:
      verdict.outcome = Outcome::kPermanent;
      Fill(&failure, "UNSUPPORTED", "the plugin does not do this");
      return verdict;
    case MFN_PERMANENT:
      verdict.outcome = Outcome::kPermanent;
      Fill(&failure, "PERMANENT", "the plugin refuses the input without a message");
      return verdict;
    default:
      verdict.outcome = Outcome::kPermanent;
      failure.code = MFN_PERMANENT;
      Fill(&failure, "UNKNOWN_CODE",
           absl::StrCat("the plugin returned code ", code, ", which this server does not know"));
      return verdict;
  }
}

}  // namespace

Verdict Judge(mfn_code code, Failure words, const mfn_call& call) {
  Verdict verdict = Classify(code, std::move(words), call);
  if (call.overrides != nullptr) Override(*call.overrides, code, &verdict);
  return verdict;
}

Verdict Refused(mfn_code code, const char* reason, std::string message) {
  Verdict verdict;
  verdict.outcome = Outcome::kPermanent;
  verdict.failure.code = code;
  verdict.failure.reason = reason;
  verdict.failure.message = std::move(message);
  return verdict;
}

Failure Conclude(const resilience::CallResult& result, Failure last, bool closed) {
  last.attempts = result.attempts;
  if (result.ok()) return last;
  last.retry_after = result.retry_after;
  if (closed && (result.attempts == 0 || result.outcome == Outcome::kCancelled)) {
    SetNew(&last, MFN_CANCELLED, "INSTANCE_CLOSED", "the instance is closed");
  } else if (result.outcome == Outcome::kCancelled && last.code != MFN_CANCELLED) {
    const std::string before = last.message;
    SetNew(&last, MFN_CANCELLED, "CANCELLED",
           before.empty() ? "cancelled before the plugin was called"
                          : absl::StrCat("cancelled before a retry of: ", before));
  } else if (result.attempts == 0 && result.rejection == Rejection::kForcedOpen) {
    SetNew(&last, MFN_RETRYABLE, "BREAKER_FORCED_OPEN",
           "an operator has opened the circuit breaker; ControlBreaker resets it");
  } else if (result.attempts == 0 && result.rejection == Rejection::kRateLimited) {
    SetNew(&last, MFN_RETRYABLE, "RATE_LIMITED",
           "the instance's rate limit has no place in time; raise rate_limit or ask for less");
  } else if (result.attempts == 0 && result.rejection == Rejection::kBreakerOpen) {
    const bool pause = result.outcome == Outcome::kThrottled;
    SetNew(&last, pause ? MFN_THROTTLED : MFN_RETRYABLE, pause ? "PAUSED" : "BREAKER_OPEN",
           pause ? "the endpoint asked to be left alone"
                 : "the circuit breaker is open after failures of the endpoint");
  } else if (result.attempts == 0) {
    SetNew(&last, MFN_RETRYABLE, "DEADLINE_EXCEEDED",
           "no time was left to call the plugin; other calls of the instance took it");
  }
  return last;
}

}  // namespace mfn::registry
