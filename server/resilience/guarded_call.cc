// The composition of guarded_call.h, read top down: Call counts, Run makes the attempts behind
// breaker and limits, PrepareRetry decides on the next. A call that succeeds at once reads the
// clock twice.
#include "server/resilience/guarded_call.h"

#include <algorithm>

#include "absl/base/attributes.h"

namespace mfn::resilience {
namespace {

int64_t Later(int64_t now_ns, int64_t nanos) {
  return nanos > INT64_MAX - now_ns ? INT64_MAX : now_ns + nanos;
}

int64_t Later(int64_t now_ns, absl::Duration duration) {
  return Later(now_ns, absl::ToInt64Nanoseconds(duration));
}

int64_t ProbeBound(const CallOptions& options) {
  return std::max(options.attempt_timeout_ns, options.probe_bound_ns);
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

Guard::Guard(const GuardConfig& config, Clock* clock, Sleeper* sleeper, RandomSource* random)
    : policy_(config.retry),
      clock_(clock),
      sleeper_(sleeper),
      random_(random),
      budget_(config.retry.budget),
      rate_limit_(config.rate_limit),
      bulkhead_(config.max_concurrent_calls, clock),
      limited_(rate_limit_.enabled() || bulkhead_.enabled()),
      breaker_(config.breaker, random) {}

// What is returned by value is built in place, since copying a structure right after its members
// were written stalls; and the usual path takes no address of `start` and `permit`, which stay in
// registers. Each of these was worth some nanoseconds.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline void Guard::Run(const CallOptions& options, Function call,
                                                    CallResult* result) {
  Progress progress;
  while (true) {
    int64_t start = clock_->MonotonicNanos();
    if (Cancelled(options)) [[unlikely]] {
      Cancel(result);
      return GiveUp(progress);
    }
    if (start >= options.deadline_ns) [[unlikely]] {
      Late(result);
      return GiveUp(progress);
    }
    const bool limited = Limited(options);
    if (limited) [[unlikely]] {
      // An open breaker turns away before anything queues.
      if (!options.health_check) {
        const Breaker::Permit peek = breaker_.Peek(start);
        if (!peek.admitted) {
          if (!WaitOut(options, peek, start, result)) return GiveUp(progress);
          continue;
        }
      }
      const std::optional<int64_t> later = EnterLimits(options, start, result);
      if (!later.has_value()) return GiveUp(progress);
      start = *later;
    }
    // Taken last, so that a probe does not queue.
    uint64_t generation = 0;
    if (ABSL_PREDICT_FALSE(!breaker_.AcquireAtOnce(&generation) && !options.health_check)) {
      const Breaker::Permit permit = breaker_.Acquire(start, ProbeBound(options));
      if (!permit.admitted) {
        if (limited) LeaveLimits(options);
        if (!WaitOut(options, permit, start, result)) return GiveUp(progress);
        continue;
      }
      generation = permit.generation;
    }
    if (++result->attempts > 1) [[unlikely]]
      Count(&Counts::retries);
    const AttemptResult attempt = call(Attempt{
        result->attempts, std::min(options.deadline_ns, Later(start, options.attempt_timeout_ns)),
        options.deadline_ns});
    const int64_t end = clock_->MonotonicNanos();
    const int slot = ThreadSlot();
    attempt_time_.Observe(end - start, slot);
    if (limited) [[unlikely]]
      LeaveLimits(options);
    result->outcome = attempt.outcome;
    if (attempt.outcome == Outcome::kOk) [[likely]] {
      if (!options.health_check) [[likely]] {
        breaker_.Record(generation, Breaker::Effect::kSuccess, end, slot);
      }
      result->retry_after = absl::ZeroDuration();
      return budget_.Give(progress.cost > 0 ? progress.cost : 1);
    }
    Count(&Counts::failed_attempts);
    if (!options.health_check) Tell(generation, options, progress, attempt, end);
    result->retry_after = policy_.CapRetryAfter(attempt.retry_after);
    if (!PrepareRetry(options, attempt, &progress, result)) return;
  }
}

CallResult Guard::Call(const CallOptions& options, Function call) {
  CallResult result;
  Run(options, call, &result);
  if (!result.ok()) Count(&Counts::failures);
  return result;
}

// The attempt that comes next does not come.
void Guard::GiveUp(const Progress& progress) {
  if (progress.cost > 0) budget_.Give(progress.cost);
}

bool Guard::PrepareRetry(const CallOptions& options, const AttemptResult& attempt,
                         Progress* progress, CallResult* result) {
  if (options.single_attempt ||
      !policy_.ShouldRetry(attempt.outcome, options.idempotent, progress->retry)) {
    return false;
  }
  const absl::Duration wait = policy_.Wait(attempt, progress->retry.retries, random_);
  const int64_t now = clock_->MonotonicNanos();
  if (Later(now, wait) >= options.deadline_ns) {
    Late(result);
    return false;
  }
  if (!options.health_check) {
    // Whom the breaker would turn away then need not wait for it. A pause is waited out.
    const Breaker::Permit peek = breaker_.Peek(now);
    const bool open = peek.state == Breaker::State::kOpen && peek.wait > wait;
    if (open || peek.state == Breaker::State::kForcedOpen) {
      Reject(peek, result);
      return false;
    }
  }
  progress->cost = options.free_retries ? 0 : budget_.Cost(attempt.outcome);
  if (!budget_.Take(progress->cost)) {
    Count(&Counts::budget_exhausted);
    result->rejection = Rejection::kNoBudget;
    return false;
  }
  if (!Sleep(wait, options.cancel)) {
    budget_.Give(progress->cost);
    Cancel(result);
    return false;
  }
  ++progress->retry.retries;
  progress->retry.auth_retried |= attempt.outcome == Outcome::kAuth;
  return true;
}

bool Guard::WaitOut(const CallOptions& options, Breaker::Permit rejected, int64_t now_ns,
                    CallResult* result) {
  const bool pause = rejected.state == Breaker::State::kPaused;
  if (!pause || Later(now_ns, rejected.wait) >= options.deadline_ns) {
    Reject(rejected, result);
    return false;
  }
  if (Sleep(rejected.wait, options.cancel)) return true;
  Cancel(result);
  return false;
}

std::optional<int64_t> Guard::EnterLimits(const CallOptions& options, int64_t now_ns,
                                          CallResult* result) {
  if (rate_limit_.enabled() && !options.health_check) {
    const int64_t patience = options.deadline_ns - now_ns;
    const int64_t wait = rate_limit_.Take(now_ns, patience);
    if (wait >= patience) {
      result->retry_after = std::max(result->retry_after, absl::Nanoseconds(wait));
      return Limit(options, Rejection::kRateLimited, result);
    }
    if (wait > 0 && !Sleep(absl::Nanoseconds(wait), options.cancel)) return Cancel(result);
  }
  const bool bulkhead = bulkhead_.enabled() && !options.health_check;
  if (bulkhead && !bulkhead_.Enter(options.deadline_ns, options.cancel)) {
    return Limit(options, Rejection::kNotAdmitted, result);
  }
  if (options.admission != nullptr &&
      !options.admission->Enter(options.deadline_ns, options.cancel)) {
    if (bulkhead) bulkhead_.Leave();
    return Limit(options, Rejection::kNotAdmitted, result);
  }
  const int64_t now = clock_->MonotonicNanos();
  if (now < options.deadline_ns) return now;
  LeaveLimits(options);
  return Late(result);
}

void Guard::LeaveLimits(const CallOptions& options) {
  if (options.admission != nullptr) options.admission->Leave();
  if (bulkhead_.enabled() && !options.health_check) bulkhead_.Leave();
}

std::nullopt_t Guard::Late(CallResult* result) {
  if (result->attempts == 0) result->outcome = Outcome::kDeadline;
  result->rejection = Rejection::kDeadline;
  return std::nullopt;
}

std::nullopt_t Guard::Cancel(CallResult* result) {
  result->outcome = Outcome::kCancelled;
  return std::nullopt;
}

std::nullopt_t Guard::Limit(const CallOptions& options, Rejection rejection, CallResult* result) {
  Count(&Counts::limited);
  if (result->attempts == 0) {
    result->outcome = Cancelled(options) ? Outcome::kCancelled : Outcome::kDeadline;
  }
  result->rejection = rejection;
  return std::nullopt;
}

std::nullopt_t Guard::Reject(Breaker::Permit permit, CallResult* result) {
  Count(&Counts::rejected);
  // After an attempt its own outcome tells more than the breaker that it opened.
  if (result->attempts == 0) {
    result->outcome =
        permit.state == Breaker::State::kPaused ? Outcome::kThrottled : Outcome::kRetryable;
  }
  result->rejection = permit.state == Breaker::State::kForcedOpen ? Rejection::kForcedOpen
                                                                  : Rejection::kBreakerOpen;
  result->retry_after = std::max(result->retry_after, permit.wait);
  return std::nullopt;
}

void Guard::Tell(uint64_t generation, const CallOptions& options, const Progress& progress,
                 const AttemptResult& attempt, int64_t now_ns) {
  if (attempt.outcome == Outcome::kThrottled) {
    return breaker_.RecordPause(generation, policy_.CapRetryAfter(attempt.retry_after), now_ns);
  }
  // Refused credentials stay refused until somebody changes them.
  const bool last_auth = attempt.outcome == Outcome::kAuth &&
                         !policy_.ShouldRetry(Outcome::kAuth, options.idempotent, progress.retry);
  breaker_.Record(generation, last_auth ? Breaker::Effect::kTrip : EffectOf(attempt.outcome),
                  now_ns);
}

void Guard::Stop() {
  stopping_.store(true, std::memory_order_release);
  stop_.Cancel();
  bulkhead_.Close();
}

void Guard::Reset() {
  breaker_.Reset();
  budget_.Refill();
}

bool Guard::Sleep(absl::Duration duration, const Cancellation& cancel) {
  CancellationSource either(cancel);
  const uint64_t id = stopped_.Subscribe([&either] { either.Cancel(); });
  const bool slept = sleeper_->Sleep(duration, either.token());
  stopped_.Unsubscribe(id);
  return slept;
}

CallMetrics Guard::metrics() const {
  CallMetrics metrics;
  uint64_t failed_attempts = 0;
  counts_.ForEach([&](const Counts& counts) {
    failed_attempts += counts.failed_attempts.Get();
    metrics.failures += counts.failures.Get();
    metrics.retries += counts.retries.Get();
    metrics.rejected += counts.rejected.Get();
    metrics.limited += counts.limited.Get();
    metrics.budget_exhausted += counts.budget_exhausted.Get();
  });
  // Read after the failed ones, which are counted after: never less. A call has one attempt that
  // succeeds or none, so that successes need no counter of their own.
  metrics.attempt_time = attempt_time_.Snapshot();
  metrics.attempts = metrics.attempt_time.count;
  metrics.successes = metrics.attempts - std::min(metrics.attempts, failed_attempts);
  metrics.calls = metrics.successes + metrics.failures;
  metrics.budget = budget_.tokens();
  metrics.budget_capacity = budget_.capacity();
  return metrics;
}

}  // namespace mfn::resilience
