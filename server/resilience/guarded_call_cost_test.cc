// What a call may not cost: allocations once warm.
#include <thread>

#include "gtest/gtest.h"
#include "server/engine/count_allocations.h"
#include "server/resilience/guarded_call.h"

namespace mfn::resilience {
namespace {

uint64_t AllocationsOf(Guard* guard, const CallOptions& options, Outcome outcome) {
  const uint64_t before = AllocationsSoFar();
  for (int i = 0; i < 1000; ++i) {
    guard->Call(options, [&](const Attempt&) { return AttemptResult{outcome, {}}; });
  }
  return AllocationsSoFar() - before;
}

TEST(GuardedCallCostTest, NothingIsAllocatedOnceAThreadIsWarm) {
  GuardConfig config;
  config.rate_limit = {1e6, 10'000};
  config.max_concurrent_calls = 8;
  Guard guard(config, Clock::Real(), Sleeper::Real(), RandomSource::Real());
  const CancellationSource source;
  CallOptions options;
  options.cancel = source.token();
  const auto measure = [&] {
    AllocationsOf(&guard, options, Outcome::kOk);
    AllocationsOf(&guard, options, Outcome::kPermanent);
    EXPECT_EQ(AllocationsOf(&guard, options, Outcome::kOk), 0u);
    EXPECT_EQ(AllocationsOf(&guard, options, Outcome::kPermanent), 0u);
  };
  measure();
  std::thread(measure).join();
  const uint64_t before = AllocationsSoFar();
  ::operator delete(::operator new(8));
  EXPECT_EQ(AllocationsSoFar(), before + 1) << "the counter counts";
}

TEST(GuardedCallCostTest, FailuresAndRejectionsAllocateNothingEither) {
  GuardConfig config;
  config.retry.max_retries = 0;
  Guard guard(config, Clock::Real(), Sleeper::Real(), RandomSource::Real());
  AllocationsOf(&guard, {}, Outcome::kOk);
  AllocationsOf(&guard, {}, Outcome::kPermanent);
  EXPECT_EQ(AllocationsOf(&guard, {}, Outcome::kRetryable), 0u);
  EXPECT_EQ(guard.breaker_state(), Breaker::State::kOpen);
}

}  // namespace
}  // namespace mfn::resilience
