// How much somebody may log who may have much to say (a plugin instance, the dead letters of a
// pipeline): a burst, then a few lines a second. What is beyond is left
// out and counted, so that a loop that logs costs neither the disk nor the others' lines.
// Thread-safe.
#ifndef MFN_SERVER_BASE_LOG_LIMIT_H_
#define MFN_SERVER_BASE_LOG_LIMIT_H_

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace mfn {

class LogLimit {
 public:
  static constexpr int64_t kBurst = 200;
  static constexpr int64_t kPerSecond = 20;

  // Whether a line may be logged now (monotonic nanoseconds), and how many were left out since the
  // last one that was; nullopt: this one is left out too.
  std::optional<uint64_t> Pass(int64_t now_ns) {
    constexpr int64_t kLine = 1'000'000'000 / kPerSecond;
    MutexLock lock(&mutex_);
    // The bucket as the time at which it will be full again.
    if (full_at_ns_ < now_ns) full_at_ns_ = now_ns;
    if (full_at_ns_ + kLine > now_ns + kBurst * kLine) {
      ++left_out_;
      return std::nullopt;
    }
    full_at_ns_ += kLine;
    const uint64_t before = left_out_;
    left_out_ = 0;
    return before;
  }

 private:
  Mutex mutex_;
  int64_t full_at_ns_ ABSL_GUARDED_BY(mutex_) = INT64_MIN;
  uint64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_LOG_LIMIT_H_
