// The state machine of breaker.h. Every change happens under the mutex and is then published in
// word_, which is all that the fast path reads.
#include "server/resilience/breaker.h"

#include <algorithm>

namespace mfn::resilience {
namespace {

constexpr int kMaxDoublings = 10;
constexpr absl::Duration kMaxOpen = absl::Minutes(10);

}  // namespace

Breaker::Breaker(const BreakerConfig& config, RandomSource* random)
    : config_(config), random_(random), window_(absl::ToInt64Nanoseconds(config.ratio_window)) {}

Breaker::Permit Breaker::Peek(int64_t now_ns) { return Decide(now_ns, /*take=*/false); }
Breaker::Permit Breaker::Acquire(int64_t now_ns) { return Decide(now_ns, /*take=*/true); }

Breaker::Permit Breaker::Decide(int64_t now_ns, bool take) {
  const uint64_t word = word_.load(std::memory_order_acquire);
  if ((word & 3) == static_cast<uint64_t>(State::kClosed)) {
    return Permit{true, State::kClosed, absl::ZeroDuration(), word >> 2};
  }
  MutexLock lock(&mutex_);
  if (state_ == State::kPaused) {
    if (now_ns < until_ns_) {
      return Permit{false, state_, absl::Nanoseconds(until_ns_ - now_ns), generation_};
    }
    // Not a new generation: what was counted before the pause still counts.
    state_ = State::kClosed;
    Publish();
  }
  if (state_ == State::kClosed) return Admitted(state_);
  if (state_ == State::kHalfOpen && probing_ && now_ns >= probe_until_ns_) Open(now_ns);
  if (state_ == State::kOpen) {
    if (now_ns < until_ns_) {
      return Permit{false, state_, absl::Nanoseconds(until_ns_ - now_ns), generation_};
    }
    Enter(State::kHalfOpen);
  }
  if (probing_) return Permit{false, state_, absl::ZeroDuration(), generation_};
  if (take) {
    probing_ = true;
    probe_until_ns_ = now_ns + absl::ToInt64Nanoseconds(config_.timeout);
  }
  return Admitted(state_);
}

Breaker::Permit Breaker::Admitted(State state) const {
  return Permit{true, state, absl::ZeroDuration(), generation_};
}

void Breaker::Record(const Permit& permit, Effect effect, int64_t now_ns) {
  if (!permit.admitted || !config_.enabled) return;
  MutexLock lock(&mutex_);
  if (permit.generation != generation_) return;
  if (state_ == State::kHalfOpen) return RecordProbe(effect, now_ns);
  RecordClosed(effect, now_ns);
}

void Breaker::RecordPause(const Permit& permit, absl::Duration pause, int64_t now_ns) {
  if (!permit.admitted || !config_.enabled) return;
  MutexLock lock(&mutex_);
  if (permit.generation != generation_) return;
  const int64_t until = now_ns + absl::ToInt64Nanoseconds(pause);
  if (state_ == State::kHalfOpen) {
    probing_ = false;
    if (pause > absl::ZeroDuration()) OpenUntil(until);
    return;
  }
  if (pause <= absl::ZeroDuration()) return;
  until_ns_ = state_ == State::kPaused ? std::max(until_ns_, until) : until;
  state_ = State::kPaused;
  Publish();
}

void Breaker::RecordClosed(Effect effect, int64_t now_ns) {
  switch (effect) {
    case Effect::kNeutral:
      return;
    case Effect::kTrip:
      return Open(now_ns);
    case Effect::kSuccess:
      consecutive_ = 0;
      return window_.Add(false, now_ns);
    case Effect::kFailure:
      break;
  }
  window_.Add(true, now_ns);
  if (++consecutive_ >= config_.threshold) return Open(now_ns);
  const FailureWindow::Counts counts = window_.Sum(now_ns);
  if (counts.calls < static_cast<uint64_t>(std::max(1, config_.ratio_min_calls))) return;
  if (static_cast<double>(counts.failures) >=
      config_.failure_ratio * static_cast<double>(counts.calls)) {
    Open(now_ns);
  }
}

void Breaker::RecordProbe(Effect effect, int64_t now_ns) {
  probing_ = false;
  if (effect == Effect::kFailure || effect == Effect::kTrip) return Open(now_ns);
  if (effect == Effect::kNeutral || ++probe_successes_ < config_.successes_to_close) return;
  openings_ = 0;
  Enter(State::kClosed);
}

void Breaker::Open(int64_t now_ns) {
  const int doublings = std::min(openings_++, kMaxDoublings);
  absl::Duration open =
      std::min(config_.timeout * (1 << doublings), std::max(config_.timeout, kMaxOpen));
  open += open * (0.1 * random_->Uniform());
  OpenUntil(now_ns + absl::ToInt64Nanoseconds(open));
}

void Breaker::OpenUntil(int64_t until_ns) {
  until_ns_ = until_ns;
  opened_.fetch_add(1, std::memory_order_relaxed);
  Enter(State::kOpen);
}

void Breaker::Enter(State state) {
  state_ = state;
  ++generation_;
  consecutive_ = 0;
  window_.Clear();
  probing_ = false;
  probe_successes_ = 0;
  Publish();
}

void Breaker::Publish() {
  word_.store(generation_ << 2 | static_cast<uint64_t>(state_), std::memory_order_release);
}

Breaker::State Breaker::state() const {
  return static_cast<State>(word_.load(std::memory_order_acquire) & 3);
}

}  // namespace mfn::resilience
