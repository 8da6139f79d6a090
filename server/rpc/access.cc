#include "server/rpc/access.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

// The peer without its port, so that a new connection is no new caller.
std::string AddressOf(absl::string_view peer) {
  const size_t colon = peer.rfind(':');
  if (!absl::StartsWith(peer, "ipv") || colon == absl::string_view::npos) return std::string(peer);
  return std::string(peer.substr(0, colon));
}

}  // namespace

RateLimiter::RateLimiter(double per_second, Clock* clock)
    : per_second_(per_second), capacity_(std::max(1.0, per_second)), clock_(clock) {}

absl::Status RateLimiter::Take(const std::string& caller, absl::string_view method) {
  const int64_t now = clock_->MonotonicNanos();
  MutexLock lock(&mutex_);
  if (buckets_.size() >= kMaxBuckets) ForgetOldest();
  auto [it, added] =
      buckets_.try_emplace(absl::StrCat(caller, " ", method), Bucket{capacity_, now});
  Bucket& bucket = it->second;
  const double seconds = static_cast<double>(now - bucket.nanos) / 1e9;
  bucket.tokens = std::min(capacity_, bucket.tokens + seconds * per_second_);
  bucket.nanos = now;
  if (bucket.tokens >= 1.0) {
    bucket.tokens -= 1.0;
    return absl::OkStatus();
  }
  return RetryLater(absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
                    absl::StrCat("more than ", per_second_, " calls of ", method,
                                 " per second; try again after the delay in RetryInfo"),
                    absl::Seconds((1.0 - bucket.tokens) / per_second_),
                    {{"method", std::string(method)}});
}

size_t RateLimiter::buckets() const {
  MutexLock lock(&mutex_);
  return buckets_.size();
}

void RateLimiter::ForgetOldest() {
  buckets_.erase(std::min_element(
      buckets_.begin(), buckets_.end(),
      [](const auto& a, const auto& b) { return a.second.nanos < b.second.nanos; }));
}

Access::Access(const ServerConfig& config, Clock* clock)
    : keys_(config.api_keys),
      key_required_(config.api_key_required),
      limited_(config.rate_limit_enabled),
      limiter_(config.rate_limit_per_second, clock) {}

absl::Status Access::Admit(absl::string_view key, absl::string_view peer, absl::string_view method,
                           std::string* caller) {
  std::optional<size_t> match;
  for (size_t k = 0; k < keys_.size(); ++k) {
    // All keys are compared, so that time does not tell which one matched.
    if (ConstantTimeEqual(key, keys_[k]) && !match) match = k;
  }
  if (key_required_ && key.empty()) {
    return Error(absl::StatusCode::kUnauthenticated, "API_KEY_MISSING",
                 "this server needs an API key in the metadata x-api-key");
  }
  if (key_required_ && !match) {
    return Error(absl::StatusCode::kUnauthenticated, "API_KEY_INVALID",
                 "the API key in the metadata x-api-key is not known to this server");
  }
  *caller = match ? absl::StrCat("key-", *match) : AddressOf(peer);
  return limited_ ? limiter_.Take(*caller, method) : absl::OkStatus();
}

bool ConstantTimeEqual(absl::string_view presented, absl::string_view secret) {
  if (secret.empty()) return false;
  unsigned char different = presented.size() == secret.size() ? 0 : 1;
  for (size_t k = 0; k < presented.size(); ++k) {
    different = static_cast<unsigned char>(different | (presented[k] ^ secret[k % secret.size()]));
  }
  return different == 0;
}

}  // namespace mfn::rpc
