// Sharing cores: never more than there are, all of them given back, and no bit that depends on it.

#include "server/engine/cores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "server/engine/run.h"
#include "server/engine/run_test_util.h"
#include "server/engine/team.h"

namespace mfn::engine {
namespace {

size_t ThreadsOfThisProcess() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    count += entry.exists() ? 1 : 0;
  }
  return count;
}

TEST(CoresTest, LendsWhatIsIdleAndTakesItBack) {
  Cores cores(3);
  {
    const Cores::Seat seat(&cores);
    Team first(cores, 2);
    EXPECT_EQ(first.members(), 2u);
    Team second(cores, 4);
    EXPECT_EQ(second.members(), 2u);  // seat, first's and second's helper: all three are taken
    Team third(cores, 4);
    EXPECT_EQ(third.members(), 1u);
  }
  const Cores::Seat one(&cores), two(&cores), three(&cores), four(&cores);
  Team none(cores, 3);
  EXPECT_EQ(none.members(), 1u);
  EXPECT_EQ(cores.loans(), 2u);
}

TEST(CoresTest, LendsOnlyUpToItsLimit) {
  Cores cores(4);
  cores.Limit(2);
  const Cores::Seat seat(&cores);
  EXPECT_EQ(Team(cores, 4).members(), 2u);
  cores.Limit(1);
  EXPECT_EQ(Team(cores, 4).members(), 1u);
  cores.Limit(9);
  EXPECT_EQ(Team(cores, 9).members(), 4u);
}

TEST(CoresTest, EveryMemberWorksOnceInEachRound) {
  Cores cores(4);
  const Cores::Seat seat(&cores);
  for (int round = 0; round < 200; ++round) {
    Team team(cores, 4);
    ASSERT_EQ(team.members(), 4u);
    std::array<std::atomic<int>, 4> worked{};
    team.Run([&](size_t member) { ++worked[member]; });
    team.Run([&](size_t member) { ++worked[member]; });
    for (const auto& count : worked) ASSERT_EQ(count, 2);
  }
}

TEST(CoresTest, ManyAtOnceStartNoMoreThreadsThanThereAreCores) {
  constexpr size_t kCallers = 12;
  Cores cores(3);
  const size_t before = ThreadsOfThisProcess();
  std::atomic<size_t> most{0}, working{0}, wrong{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> callers;
  for (size_t c = 0; c < kCallers; ++c) {
    callers.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        const Cores::Seat seat(&cores);
        Team team(cores, 3);
        if (team.members() > 3) ++wrong;
        team.Run([&](size_t member) {
          const size_t helpers = member > 0 ? ++working : 0;
          size_t seen = most;
          while (helpers > seen && !most.compare_exchange_weak(seen, helpers)) {
          }
          if (member > 0) --working;
        });
      }
    });
  }
  size_t threads = 0;
  std::thread watch([&] {
    while (!over) threads = std::max(threads, ThreadsOfThisProcess());
  });
  for (std::thread& caller : callers) caller.join();
  over = true;
  watch.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_LE(most, 2u);
  EXPECT_LE(threads, before + kCallers + 1 + 2);
  // All is back.
  Team team(cores, 3);
  EXPECT_EQ(team.members(), 3u);
}

TEST(CoresTest, BorrowingChangesNoBit) {
  for (int64_t n : {256, 259, 520}) {
    for (Boundary boundary : {Boundary::kPeriodic, Boundary::kNeumann, Boundary::kDirichlet}) {
      for (bool turing : {true, false}) {
        SimulationConfig config;
        config.grid_size = n;
        config.steps = 21;  // more than are taken at once
        config.boundary = boundary;
        config.turing_enabled = turing;
        config.spike_probability = 0.8;
        config.r_activator = 0.1;
        config.r_inhibitor = 0.001;
        config.turing_threshold = 0.5;
        config.seed = Seed(static_cast<uint64_t>(n));
        for (Precision precision : {Precision::kExact, Precision::kFast}) {
          config.precision = precision;
          const std::vector<double> alone = EverythingOf(config);
          for (size_t count : {1, 2, 4}) {
            Cores cores(count);
            EXPECT_EQ(EverythingOf(config, &cores), alone) << n << " " << count;
            const bool large = precision == Precision::kExact || n >= 512;
            EXPECT_EQ(cores.loans() > 0, count > 1 && large);
          }
        }
      }
    }
  }
}

TEST(CoresTest, OnlyLargeGridsBorrow) {
  Cores cores(2);
  SimulationConfig config;
  config.grid_size = 128;
  config.steps = 5;
  EverythingOf(config, &cores);
  config.grid_size = 256;
  config.precision = Precision::kFast;
  EverythingOf(config, &cores);
  config.precision = Precision::kExact;
  config.quantum_jitter = true;  // drawn in one order by one thread
  EverythingOf(config, &cores);
  EXPECT_EQ(cores.loans(), 0u);
}

TEST(CoresTest, ACancelledRunGivesBack) {
  Cores cores(2);
  SimulationConfig config;
  config.grid_size = 256;
  config.steps = 1000;
  RunOptions options;
  options.features.emplace();
  options.cores = &cores;
  int polls = 0;
  options.cancel = [&polls] { return ++polls > 3; };
  const auto run = RunSimulation(config, options);
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().kind, ErrorKind::kCancelled);
  const Cores::Seat seat(&cores);
  Team team(cores, 2);
  EXPECT_EQ(team.members(), 2u);
}

}  // namespace
}  // namespace mfn::engine
