// The state machine of breaker.h. Every change happens under the mutex and is then published in
// word_, which is all that the fast paths read.
#include "server/resilience/breaker.h"

#include <algorithm>

namespace mfn::resilience {
namespace {

constexpr int kMaxDoublings = 20;

Breaker::State InitialState(const BreakerConfig& config) {
  return config.enabled ? Breaker::State::kClosed : Breaker::State::kDisabled;
}

}  // namespace

Breaker::Breaker(const BreakerConfig& config, RandomSource* random)
    : config_(config),
      random_(random),
      window_(absl::ToInt64Nanoseconds(config.ratio_window)),
      word_(Word(0, InitialState(config), false)),
      state_(InitialState(config)) {}

Breaker::Permit Breaker::Decide(int64_t now_ns, int64_t probe_bound_ns) {
  MutexLock lock(&mutex_);
  if (state_ == State::kForcedOpen) return Rejected(absl::ZeroDuration());
  if (state_ == State::kPaused) {
    if (now_ns < until_ns_) return Rejected(absl::Nanoseconds(until_ns_ - now_ns));
    // Not a new generation: what was counted before the pause still counts.
    state_ = State::kClosed;
    Publish();
  }
  const Permit admitted{true, state_, absl::ZeroDuration(), generation_};
  if (state_ == State::kClosed || state_ == State::kDisabled) return admitted;
  if (state_ == State::kHalfOpen && probing_ && now_ns >= probe_until_ns_) Open(now_ns);
  if (state_ == State::kOpen) {
    if (now_ns < until_ns_) return Rejected(absl::Nanoseconds(until_ns_ - now_ns));
    Enter(State::kHalfOpen);
  }
  if (probing_) return Rejected(absl::ZeroDuration());
  if (probe_bound_ns != kPeek) {
    probing_ = true;
    const int64_t bound = std::max(absl::ToInt64Nanoseconds(config_.timeout), probe_bound_ns);
    probe_until_ns_ = bound > INT64_MAX - now_ns ? INT64_MAX : now_ns + bound;
  }
  return {true, state_, absl::ZeroDuration(), generation_};
}

Breaker::Permit Breaker::Rejected(absl::Duration wait) const {
  return {false, state_, wait, generation_};
}

void Breaker::RecordSlowly(uint64_t generation, Effect effect, int64_t now_ns) {
  MutexLock lock(&mutex_);
  if (generation != generation_ || state_ == State::kDisabled) return;
  if (state_ == State::kHalfOpen) return RecordProbe(effect, now_ns);
  RecordClosed(effect, now_ns);
}

void Breaker::RecordPause(uint64_t generation, absl::Duration pause, int64_t now_ns) {
  MutexLock lock(&mutex_);
  if (generation != generation_ || state_ == State::kDisabled) return;
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
  if (effect == Effect::kNeutral) return;
  if (effect == Effect::kTrip) return Open(now_ns);
  const bool failed = effect == Effect::kFailure;
  window_.Add(generation_, failed, now_ns);
  consecutive_ = failed ? consecutive_ + 1 : 0;
  Publish();
  if (!failed) return;
  if (consecutive_ >= config_.threshold) return Open(now_ns);
  const CallWindow::Counts counts = window_.Sum(generation_, now_ns);
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
      std::min(config_.timeout * (1 << doublings), std::max(config_.timeout, config_.max_timeout));
  open += open * (0.1 * random_->Uniform());
  OpenUntil(now_ns + absl::ToInt64Nanoseconds(open));
}

void Breaker::OpenUntil(int64_t until_ns) {
  until_ns_ = until_ns;
  opened_.fetch_add(1, std::memory_order_relaxed);
  Enter(State::kOpen);
}

void Breaker::ForceOpen() {
  MutexLock lock(&mutex_);
  Enter(State::kForcedOpen);
}

void Breaker::Disable() {
  MutexLock lock(&mutex_);
  Enter(State::kDisabled);
}

void Breaker::Reset() {
  MutexLock lock(&mutex_);
  openings_ = 0;
  Enter(InitialState(config_));
}

void Breaker::Enter(State state) {
  state_ = state;
  ++generation_;
  consecutive_ = 0;
  probing_ = false;
  probe_successes_ = 0;
  Publish();
}

void Breaker::Publish() {
  word_.store(Word(generation_, state_, consecutive_ > 0), std::memory_order_release);
}

}  // namespace mfn::resilience
