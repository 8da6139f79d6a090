// What a call may not cost: allocations once warm. Counts this binary's operator new.
#include <cstdlib>
#include <new>
#include <thread>

#include "gtest/gtest.h"
#include "server/resilience/guarded_call.h"

namespace {
thread_local uint64_t allocations = 0;

void* Allocate(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}
}  // namespace

void* operator new(std::size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace mfn::resilience {
namespace {

uint64_t AllocationsOf(Guard* guard, const CallOptions& options, Outcome outcome) {
  const uint64_t before = allocations;
  for (int i = 0; i < 1000; ++i) {
    guard->Call(options, [&](const Attempt&) { return AttemptResult{outcome, {}}; });
  }
  return allocations - before;
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
  const uint64_t before = allocations;
  ::operator delete(::operator new(8));
  EXPECT_EQ(allocations, before + 1) << "the counter counts";
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
