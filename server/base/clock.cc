// The real clock, sleeper and random source: the process's, never destroyed.
#include "server/base/clock.h"

#include <ctime>
#include <random>

#include "absl/time/clock.h"

namespace mfn {
namespace {

class RealClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  int64_t MonotonicNanos() const override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }
};

class RealSleeper final : public Sleeper {
 public:
  bool Sleep(absl::Duration duration, const Cancellation& cancellation) override {
    return !cancellation.WaitFor(duration);
  }
};

class RealRandom final : public RandomSource {
 public:
  double Uniform() override {
    thread_local std::mt19937_64 engine{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
  }
};

}  // namespace

Clock* Clock::Real() {
  static RealClock* const clock = new RealClock;
  return clock;
}

Sleeper* Sleeper::Real() {
  static RealSleeper* const sleeper = new RealSleeper;
  return sleeper;
}

RandomSource* RandomSource::Real() {
  static RealRandom* const random = new RealRandom;
  return random;
}

}  // namespace mfn
