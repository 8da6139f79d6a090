// What a guarded call costs beyond the call itself. Run by tests/bench/run.py guard, which
// interleaves the repetitions, subtracts the clock reads and compares medians.
//
// Every figure is "ns": processor time of the thread per iteration, so that a busy machine does not
// count. "allocations" is calls of operator new in 1000 iterations.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <ctime>

#include "server/engine/count_allocations.h"
#include "server/resilience/guarded_call.h"

namespace {

using mfn::Clock;
using mfn::resilience::Attempt;
using mfn::resilience::AttemptResult;
using mfn::resilience::Breaker;
using mfn::resilience::CallOptions;
using mfn::resilience::CallResult;
using mfn::resilience::Guard;

int64_t ThreadNanos() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Runs `once` for the benchmark and reports what one iteration cost.
template <typename Once>
void Measure(benchmark::State& state, Once once) {
  once();  // warm
  const uint64_t allocated = mfn::AllocationsSoFar();
  for (int k = 0; k < 1000; ++k) once();
  state.counters["allocations"] = static_cast<double>(mfn::AllocationsSoFar() - allocated);
  const int64_t start = ThreadNanos();
  for (auto _ : state) once();
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["ns"] = benchmark::Counter(static_cast<double>(ThreadNanos() - start) / iterations,
                                            benchmark::Counter::kAvgThreads);
}

Guard* MakeGuard(Clock* clock) {
  return new Guard({}, clock, mfn::Sleeper::Real(), mfn::RandomSource::Real());
}

CallResult CallNothing(Guard* guard, const CallOptions& options) {
  return guard->Call(options, [](const Attempt& attempt) {
    benchmark::DoNotOptimize(&attempt);
    return AttemptResult();
  });
}

// Counts how often a call looks at it.
class CountingClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::UnixEpoch(); }
  int64_t MonotonicNanos() const override { return ++reads_; }
  int64_t reads() const { return reads_; }

 private:
  mutable int64_t reads_ = 0;
};

void ClockReads(benchmark::State& state) {
  CountingClock counting;
  Guard* const guard = MakeGuard(&counting);
  CallNothing(guard, {});
  const int64_t reads = counting.reads();
  delete guard;
  Clock* volatile real = Clock::Real();  // so that the compiler does not know whose function it is
  const Clock* const clock = real;
  Measure(state, [&] {
    for (int64_t k = 0; k < reads; ++k) benchmark::DoNotOptimize(clock->MonotonicNanos());
  });
  state.counters["reads"] = static_cast<double>(reads);
}
BENCHMARK(ClockReads);

void GuardedCall(benchmark::State& state) {
  static Guard* const guard = MakeGuard(Clock::Real());
  const CallOptions options;
  Measure(state, [&] { benchmark::DoNotOptimize(CallNothing(guard, options)); });
}
BENCHMARK(GuardedCall)->Threads(1)->Threads(2);

// Two threads with nothing in common: what this machine itself makes of two threads.
void GuardedCallApart(benchmark::State& state) {
  static Guard* const guards[2] = {MakeGuard(Clock::Real()), MakeGuard(Clock::Real())};
  Guard* const guard = guards[state.thread_index()];
  const CallOptions options;
  Measure(state, [&] { benchmark::DoNotOptimize(CallNothing(guard, options)); });
}
BENCHMARK(GuardedCallApart)->Threads(2);

void BreakerCheck(benchmark::State& state) {
  static Breaker* const breaker = new Breaker({}, mfn::RandomSource::Real());
  Measure(state, [&] { benchmark::DoNotOptimize(breaker->Acquire(1).admitted); });
}
BENCHMARK(BreakerCheck);

void AtomicLoad(benchmark::State& state) {
  static std::atomic<uint64_t> word{0};
  Measure(state, [&] { benchmark::DoNotOptimize(word.load(std::memory_order_acquire)); });
}
BENCHMARK(AtomicLoad);

}  // namespace

BENCHMARK_MAIN();
