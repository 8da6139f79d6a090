// Time, sleeping and chance as injected interfaces, so that tests move a virtual clock and never
// sleep. Every class here is thread-safe.
#ifndef MFN_SERVER_BASE_CLOCK_H_
#define MFN_SERVER_BASE_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/base/cancellation.h"

namespace mfn {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;          // the wall clock, for stamps people see
  virtual int64_t MonotonicNanos() const = 0;  // for every interval and deadline; CLOCK_MONOTONIC
  static Clock* Real();                        // lives for ever
};

class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // Returns true after the duration, false as soon as `cancellation` fires.
  virtual bool Sleep(absl::Duration duration, const Cancellation& cancellation) = 0;
  static Sleeper* Real();
};

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual double Uniform() = 0;  // [0, 1)
  static RandomSource* Real();
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CLOCK_H_
