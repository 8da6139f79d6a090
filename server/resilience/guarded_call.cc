// The composition of guarded_call.h, read top down: Call counts, Run retries, TryOnce makes one
// attempt behind breaker and admission.
#include "server/resilience/guarded_call.h"

#include <algorithm>

namespace mfn::resilience {
namespace {

int64_t Later(int64_t now_ns, absl::Duration duration) {
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  return nanos > INT64_MAX - now_ns ? INT64_MAX : now_ns + nanos;
}

Breaker::Effect EffectOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return Breaker::Effect::kSuccess;
    case Outcome::kRetryable:
    case Outcome::kOutcomeUnknown:
    case Outcome::kDeadline:
    case Outcome::kNotConnected:
      return Breaker::Effect::kFailure;
    case Outcome::kThrottled:
    case Outcome::kAuth:
    case Outcome::kPermanent:
    case Outcome::kCancelled:
      return Breaker::Effect::kNeutral;
  }
  return Breaker::Effect::kNeutral;
}

}  // namespace

Guard::Guard(const RetryConfig& retry, const BreakerConfig& breaker, Clock* clock, Sleeper* sleeper,
             RandomSource* random)
    : policy_(retry),
      breaker_enabled_(breaker.enabled),
      breaker_(breaker, random),
      clock_(clock),
      sleeper_(sleeper),
      random_(random) {}

CallResult Guard::Call(const CallOptions& options, Function call) {
  calls_.fetch_add(1, std::memory_order_relaxed);
  const CallResult result = Run(options, call);
  (result.ok() ? successes_ : failures_).fetch_add(1, std::memory_order_relaxed);
  return result;
}

CallResult Guard::Run(const CallOptions& options, Function call) {
  CallResult result;
  RetryProgress progress;
  while (true) {
    AttemptResult attempt;
    if (!TryOnce(options, call, progress, &result, &attempt)) return result;
    result.outcome = attempt.outcome;
    result.retry_after = policy_.CapRetryAfter(attempt.retry_after);
    if (options.single_attempt ||
        !policy_.ShouldRetry(attempt.outcome, options.idempotent, progress)) {
      return result;
    }
    const absl::Duration wait = policy_.Wait(attempt, progress.retries, random_);
    if (Later(clock_->MonotonicNanos(), wait) >= options.deadline_ns) return result;
    if (!Sleep(wait, options.cancel)) {
      result.outcome = Outcome::kCancelled;
      return result;
    }
    ++progress.retries;
    progress.auth_retried |= attempt.outcome == Outcome::kAuth;
  }
}

bool Guard::TryOnce(const CallOptions& options, Function call, const RetryProgress& progress,
                    CallResult* result, AttemptResult* attempt) {
  if (!MayTry(options, result)) return false;
  // Rate limit and bulkhead stand here: behind the peek, so that a broken endpoint queues nobody,
  // and before the acquire, so that a probe does not queue.
  if (options.admission != nullptr &&
      !options.admission->Enter(options.deadline_ns, options.cancel)) {
    if (result->attempts == 0) {
      result->outcome = Cancelled(options) ? Outcome::kCancelled : Outcome::kDeadline;
    }
    result->rejection = Rejection::kNotAdmitted;
    return false;
  }
  const int64_t start = clock_->MonotonicNanos();
  Breaker::Permit permit;
  permit.admitted = true;
  const bool guarded = breaker_enabled_ && !options.ignore_breaker;
  if (guarded) permit = breaker_.Acquire(start);
  const bool late = start >= options.deadline_ns;
  if (!permit.admitted || late) {
    if (options.admission != nullptr) options.admission->Leave();
    if (!permit.admitted) return Reject(permit, result);
    if (guarded) breaker_.Record(permit, Breaker::Effect::kNeutral, start);
    if (result->attempts == 0) result->outcome = Outcome::kDeadline;
    result->rejection = Rejection::kDeadline;
    return false;
  }
  ++result->attempts;
  attempts_.fetch_add(1, std::memory_order_relaxed);
  if (result->attempts > 1) retries_.fetch_add(1, std::memory_order_relaxed);
  *attempt = call(Attempt{result->attempts,
                          std::min(options.deadline_ns, Later(start, options.attempt_timeout)),
                          options.deadline_ns});
  attempt_nanos_.fetch_add(clock_->MonotonicNanos() - start, std::memory_order_relaxed);
  if (options.admission != nullptr) options.admission->Leave();
  const bool last_auth = attempt->outcome == Outcome::kAuth &&
                         !policy_.ShouldRetry(Outcome::kAuth, options.idempotent, progress);
  if (guarded) Tell(permit, *attempt, last_auth);
  return true;
}

bool Guard::MayTry(const CallOptions& options, CallResult* result) {
  while (true) {
    if (Cancelled(options)) {
      result->outcome = Outcome::kCancelled;
      return false;
    }
    const int64_t now = clock_->MonotonicNanos();
    if (now >= options.deadline_ns) {
      if (result->attempts == 0) result->outcome = Outcome::kDeadline;
      result->rejection = Rejection::kDeadline;
      return false;
    }
    if (!breaker_enabled_ || options.ignore_breaker) return true;
    const Breaker::Permit peek = breaker_.Peek(now);
    if (peek.admitted) return true;
    const bool pause = peek.state == Breaker::State::kPaused;
    if (!pause || Later(now, peek.wait) >= options.deadline_ns) return Reject(peek, result);
    if (!Sleep(peek.wait, options.cancel)) {
      result->outcome = Outcome::kCancelled;
      return false;
    }
  }
}

bool Guard::Reject(const Breaker::Permit& permit, CallResult* result) {
  rejected_.fetch_add(1, std::memory_order_relaxed);
  // After an attempt its own outcome tells more than the breaker that it opened.
  if (result->attempts == 0) {
    result->outcome =
        permit.state == Breaker::State::kPaused ? Outcome::kThrottled : Outcome::kRetryable;
  }
  result->rejection = Rejection::kBreakerOpen;
  result->retry_after = std::max(result->retry_after, permit.wait);
  return false;
}

void Guard::Tell(const Breaker::Permit& permit, const AttemptResult& attempt, bool last_auth) {
  const int64_t now = clock_->MonotonicNanos();
  if (attempt.outcome == Outcome::kThrottled) {
    return breaker_.RecordPause(permit, policy_.CapRetryAfter(attempt.retry_after), now);
  }
  // Refused credentials stay refused until somebody changes them.
  breaker_.Record(permit, last_auth ? Breaker::Effect::kTrip : EffectOf(attempt.outcome), now);
}

bool Guard::Sleep(absl::Duration duration, const Cancellation& cancel) {
  CancellationSource either(cancel);
  const uint64_t id = stopped_.Subscribe([&either] { either.Cancel(); });
  const bool slept = sleeper_->Sleep(duration, either.token());
  stopped_.Unsubscribe(id);
  return slept;
}

bool Guard::Cancelled(const CallOptions& options) const {
  return options.cancel.cancelled() || stopped_.cancelled();
}

CallMetrics Guard::metrics() const {
  CallMetrics metrics;
  metrics.calls = calls_.load(std::memory_order_relaxed);
  metrics.attempts = attempts_.load(std::memory_order_relaxed);
  metrics.successes = successes_.load(std::memory_order_relaxed);
  metrics.failures = failures_.load(std::memory_order_relaxed);
  metrics.retries = retries_.load(std::memory_order_relaxed);
  metrics.rejected = rejected_.load(std::memory_order_relaxed);
  metrics.attempt_nanos = attempt_nanos_.load(std::memory_order_relaxed);
  return metrics;
}

}  // namespace mfn::resilience
