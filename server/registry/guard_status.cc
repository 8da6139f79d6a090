// The tables between the guard's words and the instance's.
#include "server/registry/guard_status.h"

namespace mfn::registry {
namespace {

using resilience::Breaker;

void SetBreaker(Breaker::State state, InstanceStatus* status) {
  switch (state) {
    case Breaker::State::kClosed:
      return;
    case Breaker::State::kOpen:
      status->breaker = BreakerState::kOpen;
      return;
    case Breaker::State::kHalfOpen:
      status->breaker = BreakerState::kHalfOpen;
      return;
    case Breaker::State::kPaused:
      status->breaker = BreakerState::kPaused;
      return;
    case Breaker::State::kForcedOpen:
      status->breaker = BreakerState::kOpen;
      status->breaker_control = BreakerControl::kForcedOpen;
      return;
    case Breaker::State::kDisabled:
      status->breaker_control = BreakerControl::kDisabled;
      return;
  }
}

}  // namespace

InstanceStatus StatusOf(const resilience::Guard& guard) {
  const resilience::CallMetrics metrics = guard.metrics();
  InstanceStatus status;
  SetBreaker(guard.breaker_state(), &status);
  status.breaker_opened = guard.breaker_opened();
  status.calls = metrics.calls;
  status.attempts = metrics.attempts;
  status.successes = metrics.successes;
  status.failures = metrics.failures;
  status.retries = metrics.retries;
  status.rejected = metrics.rejected;
  status.limited = metrics.limited;
  status.budget_exhausted = metrics.budget_exhausted;
  status.retry_budget = metrics.budget;
  status.attempt_time = metrics.attempt_time;
  if (metrics.attempts > 0) {
    status.mean_attempt_ms = static_cast<double>(metrics.attempt_time.sum_nanos) * 1e-6 /
                             static_cast<double>(metrics.attempts);
  }
  return status;
}

void Control(BreakerAction action, resilience::Guard* guard) {
  switch (action) {
    case BreakerAction::kForceOpen:
      return guard->ForceOpen();
    case BreakerAction::kDisable:
      return guard->DisableBreaker();
    case BreakerAction::kReset:
      return guard->Reset();
  }
}

}  // namespace mfn::registry
