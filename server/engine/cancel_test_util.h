// For tests: how long a computation goes on without looking whether it is cancelled.

#ifndef MFN_SERVER_ENGINE_CANCEL_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_CANCEL_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <limits>

#include "server/engine/cancel.h"

namespace mfn::engine {

// Times are processor time of the calling thread: other programs of a busy machine do not count.
class CancelProbe {
 public:
  // Cancelled from this poll on, the first being 1.
  explicit CancelProbe(int64_t cancel_at = std::numeric_limits<int64_t>::max())
      : cancel_at_(cancel_at) {}

  CancelCheck check() {
    return [this] {
      Look();
      return ++polls_ >= cancel_at_;
    };
  }
  int64_t polls() const { return polls_; }
  // Up to the first poll, between two, and from the last one until now.
  double LongestMillis() {
    Look();
    return longest_;
  }

 private:
  static double Millis() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
  }
  void Look() {
    const double now = Millis();
    longest_ = std::max(longest_, now - last_);
    last_ = now;
  }

  const int64_t cancel_at_;
  int64_t polls_ = 0;
  double longest_ = 0.0, last_ = Millis();
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
inline constexpr double kCancelMillis = 1000.0;
#else
inline constexpr double kCancelMillis = 50.0;
#endif

// `compute(check)` returns an Expected. It never goes on for longer than kCancelMillis without a
// look, and not at all once it is cancelled, wherever that is.
template <typename Compute>
void ExpectStopsWhenCancelled(Compute compute) {
  CancelProbe never;
  EXPECT_TRUE(compute(never.check()).ok());
  EXPECT_LT(never.LongestMillis(), kCancelMillis);
  const int64_t polls = never.polls();
  ASSERT_GE(polls, 1);
  for (const int64_t at : {int64_t{1}, polls / 2 + 1, polls}) {
    CancelProbe probe(at);
    const auto result = compute(probe.check());
    ASSERT_FALSE(result.ok()) << "poll " << at << " of " << polls;
    EXPECT_EQ(result.error().kind, ErrorKind::kCancelled);
    EXPECT_EQ(probe.polls(), at) << "it went on";
    EXPECT_LT(probe.LongestMillis(), kCancelMillis);
  }
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_CANCEL_TEST_UTIL_H_
