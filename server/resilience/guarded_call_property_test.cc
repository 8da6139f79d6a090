// The promises of the guarded call, for random configurations, answers, durations and threads under
// a virtual clock. A failure prints its seed; MFN_SEED=<n> runs that one again.
#include <atomic>
#include <cstdlib>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/base/fake_clock.h"
#include "server/resilience/guarded_call.h"

namespace mfn::resilience {
namespace {

class EngineRandom final : public RandomSource {
 public:
  explicit EngineRandom(uint32_t seed) : engine_(seed) {}
  double Uniform() override {
    MutexLock lock(&mutex_);
    return std::uniform_real_distribution<double>(0, 1)(engine_);
  }
  int Pick(int low, int high) {
    return low + static_cast<int>(Uniform() * static_cast<double>(high - low + 1));
  }

 private:
  Mutex mutex_;
  std::mt19937 engine_ ABSL_GUARDED_BY(mutex_);
};

std::vector<uint32_t> Seeds(uint32_t count) {
  if (const char* one = std::getenv("MFN_SEED")) {
    return {static_cast<uint32_t>(std::strtoul(one, nullptr, 10))};
  }
  std::vector<uint32_t> seeds;
  for (uint32_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

GuardConfig RandomConfig(EngineRandom* random) {
  GuardConfig config;
  config.retry.max_retries = random->Pick(0, 6);
  config.retry.backoff = static_cast<BackoffKind>(random->Pick(0, 4));
  config.retry.jitter = static_cast<JitterKind>(random->Pick(0, 3));
  config.retry.initial_delay = absl::Milliseconds(random->Pick(0, 2000));
  config.retry.budget = random->Pick(0, 3) == 0 ? 0 : random->Pick(10, 100);
  config.breaker.threshold = random->Pick(1, 8);
  config.breaker.timeout = absl::Milliseconds(random->Pick(1, 5000));
  config.breaker.successes_to_close = random->Pick(1, 3);
  config.breaker.enabled = random->Pick(0, 9) > 0;
  if (random->Pick(0, 1) == 0) {
    config.rate_limit = {static_cast<double>(random->Pick(1, 20)), random->Pick(1, 5)};
  }
  return config;
}

// No attempt starts past its deadline; a Retry-After is waited out by the call that was told; what
// was not allowed was not made; the counters agree with what was seen.
TEST(GuardedCallPropertyTest, DeadlinesBoundsAndRetryAfter) {
  for (const uint32_t seed : Seeds(3000)) {
    SCOPED_TRACE("MFN_SEED=" + std::to_string(seed));
    FakeClock clock;
    EngineRandom random(seed);
    const GuardConfig config = RandomConfig(&random);
    Guard guard(config, &clock, &clock, &random);
    uint64_t attempts = 0;
    for (int call = 0; call < 5; ++call) {
      CallOptions options;
      options.deadline_ns = clock.MonotonicNanos() + int64_t{1'000'000} * random.Pick(0, 5000);
      options.free_retries = random.Pick(0, 3) == 0;
      int64_t not_before = 0;
      const CallResult result = guard.Call(options, [&](const Attempt& attempt) {
        ++attempts;
        EXPECT_LT(clock.MonotonicNanos(), options.deadline_ns);
        EXPECT_LE(attempt.deadline_ns, options.deadline_ns);
        EXPECT_GE(clock.MonotonicNanos(), not_before) << "Retry-After undercut";
        clock.Advance(absl::Milliseconds(random.Pick(0, 500)));
        const auto asked = absl::Milliseconds(random.Pick(-5, 1000));
        not_before = clock.MonotonicNanos() + absl::ToInt64Nanoseconds(asked);
        return AttemptResult{static_cast<Outcome>(random.Pick(0, 8)), asked};
      });
      EXPECT_LE(result.attempts, config.retry.max_retries + 1);
      EXPECT_TRUE(result.attempts > 0 || !result.ok());
      EXPECT_TRUE(result.rejection == Rejection::kNone || !result.ok());
    }
    const CallMetrics metrics = guard.metrics();
    EXPECT_EQ(metrics.attempts, attempts);
    EXPECT_EQ(metrics.calls, 5u);
    EXPECT_GE(metrics.budget, 0);
    EXPECT_LE(metrics.budget, config.retry.budget);
    if (testing::Test::HasFailure()) return;
  }
}

// Every token spent was there at the start or was given by a success: with S successes at most
// (budget + S) / 5 retries fail, whatever else happens.
TEST(GuardedCallPropertyTest, TheBudgetBoundsAllAttempts) {
  for (const uint32_t seed : Seeds(300)) {
    SCOPED_TRACE("MFN_SEED=" + std::to_string(seed));
    FakeClock clock;
    EngineRandom random(seed);
    GuardConfig config = RandomConfig(&random);
    config.retry.budget = random.Pick(5, 200);
    config.breaker.enabled = random.Pick(0, 1) == 0;
    Guard guard(config, &clock, &clock, &random);
    const int percent_failing = random.Pick(20, 100);
    uint64_t calls = 0, attempts = 0, failed_retries = 0;
    for (; calls < 300; ++calls) {
      CallOptions options;
      options.deadline_ns = clock.MonotonicNanos() + int64_t{1'000'000'000} * random.Pick(1, 100);
      guard.Call(options, [&](const Attempt& attempt) {
        ++attempts;
        const bool fails = random.Pick(1, 100) <= percent_failing;
        if (fails && attempt.number > 1) ++failed_retries;
        if (!fails) return AttemptResult();
        return AttemptResult{random.Pick(0, 1) == 0 ? Outcome::kRetryable : Outcome::kDeadline, {}};
      });
      clock.Advance(absl::Milliseconds(random.Pick(0, 3000)));
    }
    const CallMetrics metrics = guard.metrics();
    const uint64_t most = (static_cast<uint64_t>(config.retry.budget) + metrics.successes) / 5;
    EXPECT_LE(failed_retries, most);
    EXPECT_LE(attempts, calls + most + metrics.successes);
    if (testing::Test::HasFailure()) return;
  }
}

// A queue as the pipeline's sinks have it: what fails parks, behind the others, for a pause that
// grows, and comes again free of charge.
struct ParkingQueue {
  Guard* guard;
  FakeClock* clock;
  std::deque<bool> parked;  // true: was parked before
  absl::Duration pause = absl::Milliseconds(100);

  void Present(const std::function<Outcome()>& endpoint) {
    CallOptions options;
    options.free_retries = parked.front();
    options.deadline_ns = clock->MonotonicNanos() + 200'000'000'000;
    parked.pop_front();
    const CallResult result = guard->Call(options, [&](const Attempt&) {
      return AttemptResult{endpoint(), {}};
    });
    if (result.ok()) {
      pause = absl::Milliseconds(100);
      return;
    }
    parked.push_back(true);
    clock->Advance(std::max(pause, result.retry_after));
    pause = std::min(pause * 2, absl::Seconds(30));
  }
};

// After an outage that spends the budget, and with 30 % of calls failing for good, all of the
// parked work gets through in bounded virtual time.
TEST(GuardedCallPropertyTest, ParkedWorkProgressesOnceTheEndpointHeals) {
  for (const uint32_t seed : Seeds(100)) {
    SCOPED_TRACE("MFN_SEED=" + std::to_string(seed));
    FakeClock clock;
    EngineRandom random(seed);
    GuardConfig config = RandomConfig(&random);
    config.retry.budget = random.Pick(5, 100);
    config.breaker = BreakerConfig();
    config.breaker.max_timeout = absl::Minutes(2);
    config.rate_limit = {};
    Guard guard(config, &clock, &clock, &random);
    ParkingQueue queue{&guard, &clock, std::deque<bool>(100, false)};
    const auto budget_left = [&] { return guard.metrics().budget; };
    // Empty it: calls that are not parked work, with the breaker out of the way.
    guard.DisableBreaker();
    for (int i = 0; i < 1000 && budget_left() >= 10; ++i) {
      guard.Call({}, [](const Attempt&) { return AttemptResult{Outcome::kRetryable, {}}; });
    }
    guard.ForceOpen();
    queue.Present([] { return Outcome::kOk; });
    EXPECT_EQ(queue.parked.size(), 100u);
    const int before = budget_left();
    guard.Reset();
    if (config.retry.max_retries > 0 && config.retry.backoff != BackoffKind::kNone) {
      EXPECT_LT(before, 10);
    }
    for (int i = 0; i < 20; ++i) queue.Present([] { return Outcome::kRetryable; });
    int rounds = 0;
    while (!queue.parked.empty() && ++rounds < 5000) {
      queue.Present([&] { return random.Pick(1, 10) <= 3 ? Outcome::kRetryable : Outcome::kOk; });
    }
    EXPECT_TRUE(queue.parked.empty()) << queue.parked.size() << " are still parked";
    if (testing::Test::HasFailure()) return;
  }
}

// A model of generations: results come back late, in any order, some never. No more than one probe
// of a half-open breaker is out at a time, and a result of an earlier generation changes nothing.
TEST(BreakerPropertyTest, StaleResultsChangeNothingAndProbesAreSingle) {
  struct Out {
    Breaker::Permit permit;
    int64_t since;
  };
  for (const uint32_t seed : Seeds(1000)) {
    SCOPED_TRACE("MFN_SEED=" + std::to_string(seed));
    EngineRandom random(seed);
    BreakerConfig config = RandomConfig(&random).breaker;
    config.enabled = true;
    Breaker breaker(config, &random);
    const int64_t timeout = absl::ToInt64Nanoseconds(config.timeout);
    int64_t now = 1'000'000'000;
    std::vector<Out> out;
    uint64_t generation = 0;
    for (int step = 0; step < 300; ++step) {
      now += random.Pick(0, 3) == 0 ? random.Pick(0, 2) * timeout : random.Pick(0, 1'000'000);
      const int action = random.Pick(0, 9);
      if (action < 5) {
        const Breaker::Permit permit = breaker.Acquire(now);
        EXPECT_GE(permit.generation, generation);
        generation = permit.generation;
        if (!permit.admitted) continue;
        if (permit.state == Breaker::State::kHalfOpen) {
          for (const Out& other : out) {
            EXPECT_FALSE(other.permit.generation == permit.generation &&
                         now < other.since + timeout)
                << "two probes are out";
          }
        }
        out.push_back({permit, now});
      } else if (!out.empty()) {
        const auto pick = static_cast<size_t>(random.Pick(0, static_cast<int>(out.size()) - 1));
        const Out one = out[pick];
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(pick));
        const Breaker::State before = breaker.state();
        const uint64_t opened = breaker.opened();
        const Breaker::Permit peek = breaker.Peek(now);
        const bool stale = one.permit.generation != peek.generation;
        const Breaker::State settled = breaker.state();  // a peek may end an OPEN
        breaker.Record(one.permit.generation, static_cast<Breaker::Effect>(random.Pick(0, 3)), now);
        if (!stale) continue;
        EXPECT_EQ(breaker.state(), settled) << static_cast<int>(before);
        EXPECT_EQ(breaker.Peek(now).admitted, peek.admitted);
        EXPECT_EQ(breaker.Peek(now).wait, peek.wait);
        EXPECT_GE(breaker.opened(), opened);
        EXPECT_EQ(breaker.Peek(now).generation, peek.generation);
      }
    }
    if (testing::Test::HasFailure()) return;
  }
}

// Threads call through an endpoint that comes and goes: while the breaker is half open, never two
// of them are inside with a probe.
TEST(BreakerPropertyTest, ProbesAreSingleAmongThreads) {
  for (const uint32_t seed : Seeds(20)) {
    SCOPED_TRACE("MFN_SEED=" + std::to_string(seed));
    EngineRandom random(seed);
    BreakerConfig config;
    config.threshold = 1;
    config.timeout = absl::Seconds(1);
    config.successes_to_close = 3;
    Breaker breaker(config, &random);
    std::atomic<int64_t> now{1};
    std::atomic<int> probing{0}, worst{0}, probes{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        EngineRandom mine(seed * 10 + static_cast<uint32_t>(t));
        for (int i = 0; i < 1000; ++i) {
          // However far the others move the time, no probe is given up for lost.
          const Breaker::Permit permit = breaker.Acquire(now.load(), INT64_MAX);
          if (!permit.admitted) {
            if (permit.state == Breaker::State::kOpen) now += absl::ToInt64Nanoseconds(permit.wait);
            continue;
          }
          const bool probe = permit.state == Breaker::State::kHalfOpen;
          if (probe) {
            ++probes;
            const int inside = ++probing;
            if (inside > worst.load()) worst = inside;
            std::this_thread::yield();
            --probing;
          }
          breaker.Record(
              permit.generation,
              mine.Pick(0, 3) == 0 ? Breaker::Effect::kFailure : Breaker::Effect::kSuccess,
              now.load());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(worst.load(), 1);
    EXPECT_GT(probes.load(), 0);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace mfn::resilience
