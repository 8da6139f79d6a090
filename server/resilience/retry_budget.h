// How much repeating an endpoint is worth: a bucket of tokens per instance, after the standard
// retry mode of Amazon's SDKs. When most calls fail, retries would only multiply the load; the
// bucket runs dry and each call is made once until successes have filled it again.
//
//   a retry costs                 5 (10 after a timeout), taken before it is made
//   a retry that succeeds         gives its cost back
//   another success               gives 1
//   a retry that was not made     gives its cost back: the breaker, the deadline or the caller came
//                                 between
//
// Never above the capacity. Capacity 0: everything is free. Thread-safe and lock-free; a success
// costs one atomic load while the bucket is full.
#ifndef MFN_SERVER_RESILIENCE_RETRY_BUDGET_H_
#define MFN_SERVER_RESILIENCE_RETRY_BUDGET_H_

#include <algorithm>
#include <atomic>

#include "server/resilience/outcome.h"

namespace mfn::resilience {

class RetryBudget {
 public:
  explicit RetryBudget(int capacity) : capacity_(capacity), tokens_(capacity) {}

  // Of a retry after an attempt that ended like this.
  int Cost(Outcome outcome) const {
    if (capacity_ == 0) return 0;
    return outcome == Outcome::kDeadline ? 10 : 5;
  }
  // False, and nothing taken, if there is less.
  bool Take(int cost) {
    int tokens = tokens_.load(std::memory_order_relaxed);
    do {
      if (tokens < cost) return false;
    } while (!tokens_.compare_exchange_weak(tokens, tokens - cost, std::memory_order_relaxed));
    return true;
  }
  void Give(int tokens) {
    int seen = tokens_.load(std::memory_order_relaxed);
    while (seen < capacity_ &&
           !tokens_.compare_exchange_weak(seen, std::min(capacity_, seen + tokens),
                                          std::memory_order_relaxed)) {
    }
  }
  void Refill() { tokens_.store(capacity_, std::memory_order_relaxed); }

  int tokens() const { return tokens_.load(std::memory_order_relaxed); }
  int capacity() const { return capacity_; }

 private:
  const int capacity_;
  std::atomic<int> tokens_;
};

}  // namespace mfn::resilience

#endif  // MFN_SERVER_RESILIENCE_RETRY_BUDGET_H_
