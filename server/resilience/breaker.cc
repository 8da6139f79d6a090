// The breaker's states. Everything but the closed check is under one short mutex.
#include "server/resilience/breaker.h"

#include <algorithm>

namespace mfn::resilience {
namespace {

constexpr int kMaxDoublings = 10;
constexpr absl::Duration kMaxOpen = absl::Minutes(30);

}  // namespace

Breaker::Breaker(const BreakerConfig& config, Clock* clock, RandomSource* random)
    : config_(config),
      clock_(clock),
      random_(random),
      bucket_nanos_(
          std::max<int64_t>(1, absl::ToInt64Nanoseconds(config.ratio_window) / kBuckets)) {}

bool Breaker::MayProbe(int64_t now) const {
  if (state_.load(std::memory_order_relaxed) == State::kOpen) return now >= probe_at_;
  return !probing_ || now >= probe_expires_;
}

bool Breaker::Peek() const {
  if (!config_.enabled || state_.load(std::memory_order_acquire) == State::kClosed) return true;
  const int64_t now = clock_->MonotonicNanos();
  MutexLock lock(&mutex_);
  return state_.load(std::memory_order_relaxed) == State::kClosed || MayProbe(now);
}

std::optional<Breaker::Permit> Breaker::Acquire() {
  if (!config_.enabled) return Permit{0};
  const int64_t now = clock_->MonotonicNanos();
  MutexLock lock(&mutex_);
  if (state_.load(std::memory_order_relaxed) == State::kClosed) return Permit{generation_};
  if (!MayProbe(now)) return std::nullopt;
  // A probe that never reported is given up: its late result belongs to an earlier generation.
  ++generation_;
  if (state_.load(std::memory_order_relaxed) == State::kOpen) {
    state_.store(State::kHalfOpen, std::memory_order_release);
    probe_successes_ = 0;
  }
  probing_ = true;
  probe_expires_ = now + absl::ToInt64Nanoseconds(config_.timeout);
  return Permit{generation_};
}

void Breaker::Report(Permit permit, BreakerSignal signal) {
  if (!config_.enabled) return;
  const int64_t now = clock_->MonotonicNanos();
  MutexLock lock(&mutex_);
  if (permit.generation != generation_) return;
  if (state_.load(std::memory_order_relaxed) == State::kHalfOpen) {
    probing_ = false;
    if (signal == BreakerSignal::kFailure) return Open(now);
    if (signal == BreakerSignal::kSuccess && ++probe_successes_ >= config_.successes_to_close) {
      Close();
    }
    return;
  }
  if (signal == BreakerSignal::kNeutral) return;
  const bool failure = signal == BreakerSignal::kFailure;
  Count(now, failure);
  consecutive_ = failure ? consecutive_ + 1 : 0;
  if (!failure) return;
  if (consecutive_ >= config_.threshold || RatioExceeded(now)) Open(now);
}

absl::Duration Breaker::TimeUntilProbe() const {
  if (state_.load(std::memory_order_acquire) == State::kClosed) return absl::ZeroDuration();
  const int64_t now = clock_->MonotonicNanos();
  MutexLock lock(&mutex_);
  const State state = state_.load(std::memory_order_relaxed);
  if (state == State::kClosed || MayProbe(now)) return absl::ZeroDuration();
  return absl::Nanoseconds((state == State::kOpen ? probe_at_ : probe_expires_) - now);
}

void Breaker::Count(int64_t now, bool failure) {
  const int64_t slot = now / bucket_nanos_;
  Bucket& bucket = buckets_[slot % kBuckets];
  if (bucket.slot != slot) bucket = {slot, 0, 0};
  ++bucket.calls;
  bucket.failures += failure ? 1 : 0;
}

bool Breaker::RatioExceeded(int64_t now) const {
  const int64_t slot = now / bucket_nanos_;
  int calls = 0, failures = 0;
  for (const Bucket& bucket : buckets_) {
    if (bucket.slot <= slot - kBuckets) continue;
    calls += bucket.calls;
    failures += bucket.failures;
  }
  return calls >= config_.ratio_min_calls && failures >= config_.failure_ratio * calls;
}

void Breaker::Open(int64_t now) {
  absl::Duration open = config_.timeout * (int64_t{1} << std::min(reopenings_, kMaxDoublings));
  open = std::min(open, std::max(config_.timeout, kMaxOpen));
  open *= 1.0 + 0.1 * random_->Uniform();
  probe_at_ = now + absl::ToInt64Nanoseconds(open);
  ++reopenings_;
  ++generation_;
  probing_ = false;
  times_opened_.fetch_add(1, std::memory_order_relaxed);
  state_.store(State::kOpen, std::memory_order_release);
}

void Breaker::Close() {
  ++generation_;
  consecutive_ = 0;
  reopenings_ = 0;
  buckets_ = {};
  state_.store(State::kClosed, std::memory_order_release);
}

}  // namespace mfn::resilience
