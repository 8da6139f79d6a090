// A token bucket: `burst` calls at once after a rest, `per_second` in the long run. Kept as the one
// time at which the bucket would be full again (the generic cell rate algorithm of ATM's I.371), so
// that taking a token is one compare-and-swap. Thread-safe and lock-free.
#ifndef MFN_SERVER_RESILIENCE_RATE_LIMIT_H_
#define MFN_SERVER_RESILIENCE_RATE_LIMIT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "server/base/config.h"

namespace mfn::resilience {

class RateLimit {
 public:
  explicit RateLimit(const RateLimitConfig& config)
      : interval_ns_(config.per_second > 0 ? Interval(config.per_second) : 0),
        burst_ns_(interval_ns_ * (std::max(1, config.burst) - 1)) {}

  bool enabled() const { return interval_ns_ > 0; }

  // Takes the next token and returns how long to wait for it, in nanoseconds. If that is `patience`
  // or longer, nothing is taken.
  int64_t Take(int64_t now_ns, int64_t patience_ns) {
    if (!enabled()) return 0;
    int64_t full = full_at_ns_.load(std::memory_order_relaxed);
    while (true) {
      const int64_t from = std::max(full, now_ns);
      const int64_t wait = std::max<int64_t>(0, from - now_ns - burst_ns_);
      if (wait >= patience_ns) return wait;
      if (full_at_ns_.compare_exchange_weak(full, from + interval_ns_, std::memory_order_relaxed)) {
        return wait;
      }
    }
  }

 private:
  static int64_t Interval(double per_second) {
    return static_cast<int64_t>(std::clamp(1e9 / per_second, 1.0, 1e12));
  }

  const int64_t interval_ns_;
  const int64_t burst_ns_;
  std::atomic<int64_t> full_at_ns_{0};
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_RATE_LIMIT_H_
