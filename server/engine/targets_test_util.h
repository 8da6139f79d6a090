// For tests: every instruction set that this processor can run, one after the other.

#ifndef MFN_SERVER_ENGINE_TARGETS_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_TARGETS_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cstdint>
#include <functional>

namespace mfn::engine {

// Runs `check` with each target that is compiled and supported alone.
inline void ForEachTarget(const std::function<void()>& check) {
  for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    check();
    if (testing::Test::HasFatalFailure()) break;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_TARGETS_TEST_UTIL_H_
