// Virtual time for tests: a clock that moves only when told, and a sleeper that moves it.
#ifndef MFN_SERVER_BASE_FAKE_CLOCK_H_
#define MFN_SERVER_BASE_FAKE_CLOCK_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace mfn {

// Starts at one second on the monotonic clock and 2026-01-01 on the wall. Thread-safe.
class FakeClock final : public Clock, public Sleeper {
 public:
  absl::Time Now() const override {
    MutexLock lock(&mutex_);
    return absl::FromUnixSeconds(1767225600) + absl::Nanoseconds(nanos_) + set_;
  }
  int64_t MonotonicNanos() const override {
    MutexLock lock(&mutex_);
    return nanos_;
  }
  void Advance(absl::Duration duration) {
    MutexLock lock(&mutex_);
    nanos_ += absl::ToInt64Nanoseconds(duration);
  }
  // Somebody sets the wall clock, forward or back.
  void SetWall(absl::Duration by) {
    MutexLock lock(&mutex_);
    set_ += by;
  }
  // Moves time at once, unless cancelled already.
  bool Sleep(absl::Duration duration, const Cancellation& cancellation) override {
    if (cancellation.cancelled()) return false;
    MutexLock lock(&mutex_);
    nanos_ += absl::ToInt64Nanoseconds(duration);
    sleeps_.push_back(duration);
    return true;
  }
  // Every sleep so far, in order.
  std::vector<absl::Duration> sleeps() const {
    MutexLock lock(&mutex_);
    return sleeps_;
  }

 private:
  mutable Mutex mutex_;
  int64_t nanos_ ABSL_GUARDED_BY(mutex_) = 1'000'000'000;
  absl::Duration set_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> sleeps_ ABSL_GUARDED_BY(mutex_);
};

// A fixed sequence in place of chance; repeats its last value.
class FakeRandom final : public RandomSource {
 public:
  explicit FakeRandom(std::vector<double> values) : values_(std::move(values)) {}
  double Uniform() override {
    MutexLock lock(&mutex_);
    const double value = values_[next_];
    if (next_ + 1 < values_.size()) ++next_;
    return value;
  }

 private:
  Mutex mutex_;
  const std::vector<double> values_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_FAKE_CLOCK_H_
