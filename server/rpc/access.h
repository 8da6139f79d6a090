// Who may call, and how often: API keys and token buckets, for every method of ours alike.
//
// Health and reflection do not come through here: they are public.
#ifndef MFN_SERVER_RPC_ACCESS_H_
#define MFN_SERVER_RPC_ACCESS_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/config.h"
#include "server/base/mutex.h"

namespace mfn::rpc {

// One bucket per caller and method: it starts full with `per_second` tokens (at least 1), refills
// at that rate, and a call takes one. Thread-safe; memory is bounded by forgetting the bucket that
// was longest unused, which at the bound may let its caller have a few calls more.
class RateLimiter {
 public:
  static constexpr size_t kMaxBuckets = 10000;
  // `clock` is not owned.
  RateLimiter(double per_second, Clock* clock);
  // RESOURCE_EXHAUSTED (RATE_LIMITED) with the delay until there is a token.
  absl::Status Take(const std::string& caller, absl::string_view method);
  size_t buckets() const;

 private:
  struct Bucket {
    double tokens;
    int64_t nanos;  // when `tokens` was right
  };
  void ForgetOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const double per_second_;
  const double capacity_;
  Clock* const clock_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

class Access {
 public:
  Access(const ServerConfig& config, Clock* clock);

  // `key`: the x-api-key header, empty if there was none. `peer` as gRPC prints it
  // ("ipv4:127.0.0.1:4711"). UNAUTHENTICATED (API_KEY_MISSING, API_KEY_INVALID) or RATE_LIMITED.
  // Sets `caller` to a name for the caller that is no secret. Thread-safe.
  absl::Status Admit(absl::string_view key, absl::string_view peer, absl::string_view method,
                     std::string* caller);

 private:
  const std::vector<std::string> keys_;
  const bool key_required_;
  const bool limited_;
  RateLimiter limiter_;
};

// Whether they are equal, in a time that depends on the length of `presented` only.
bool ConstantTimeEqual(absl::string_view presented, absl::string_view secret);

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_ACCESS_H_
