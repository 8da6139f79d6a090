// The sweep runner: equal to single runs on any number of threads, failures skipped, cancellation.

#include "server/engine/math/sweep.h"

#include <gtest/gtest.h>

#include <atomic>

#include "server/engine/math/golden_test_util.h"
#include "server/engine/run.h"

namespace mfn::engine {
namespace {

std::vector<SweepItem> SmallSeries(int64_t count) {
  SamplerParams params;
  params.grid_sizes = {8, 12};
  params.steps_min = 5;
  params.steps_max = 20;
  auto items = SampleConfigs(params, count).value();
  for (SweepItem& item : items) item.config.quantum_jitter = true;  // so that cells are active
  return items;
}

TEST(Sweep, EqualsSingleRunsOnAnyNumberOfThreads) {
  const auto items = SmallSeries(25);
  for (const int64_t threads : {0, 1, 4}) {
    SCOPED_TRACE(threads);
    SweepOptions options;
    options.threads = threads;
    options.features.min_box_size = 1;
    const auto sweep = RunSweep(items, options);
    ASSERT_TRUE(sweep.ok());
    EXPECT_TRUE(sweep->failures.empty());
    ASSERT_EQ(sweep->rows.size(), items.size());
    for (size_t k = 0; k < items.size(); ++k) {
      RunOptions run;
      run.features = options.features;
      const auto single = RunSimulation(items[k].config, run);
      EXPECT_EQ(sweep->rows[k].item.sim_id, static_cast<int64_t>(k));
      EXPECT_EQ(sweep->rows[k].counters, single->counters);
      ExpectSameBits(sweep->rows[k].features.ToArray(), single->features->ToArray());
    }
  }
}

TEST(Sweep, SkipsAndReportsFailures) {
  auto items = SmallSeries(6);
  items[1].config.alpha = 0.01;
  items[4].config.grid_size = 3;
  items[5].config.steps = int64_t{1} << 50;  // legal, but beyond what a server computes
  SweepOptions options;
  options.threads = 3;
  const auto sweep = RunSweep(items, options);
  ASSERT_TRUE(sweep.ok());
  ASSERT_EQ(sweep->rows.size(), 3u);
  EXPECT_EQ(sweep->rows[1].item.sim_id, 2);
  ASSERT_EQ(sweep->failures.size(), 3u);
  EXPECT_EQ(sweep->failures[0].sim_id, 1);
  EXPECT_EQ(sweep->failures[0].error.field, "alpha");
  EXPECT_EQ(sweep->failures[1].error.field, "grid_size");
  EXPECT_EQ(sweep->failures[2].error.kind, ErrorKind::kResourceExhausted);
}

TEST(Sweep, ReportsTheSeedItDrew) {
  auto items = SmallSeries(2);
  items[0].config.seed.reset();
  const auto sweep = RunSweep(items);
  ASSERT_TRUE(sweep.ok());
  ASSERT_TRUE(sweep->rows[0].item.config.seed.has_value());
  items[0].config.seed = sweep->rows[0].item.config.seed;
  const auto again = RunSweep(items);
  ExpectSameBits(again->rows[0].features.ToArray(), sweep->rows[0].features.ToArray());
}

TEST(Sweep, ProgressCountsEveryItemOnce) {
  const auto items = SmallSeries(20);
  std::vector<int64_t> seen;
  SweepOptions options;
  options.threads = 4;
  options.progress = [&seen](int64_t finished, int64_t total) {
    EXPECT_EQ(total, 20);
    seen.push_back(finished);
  };
  ASSERT_TRUE(RunSweep(items, options).ok());
  ASSERT_EQ(seen.size(), 20u);
  for (size_t k = 0; k < seen.size(); ++k) EXPECT_EQ(seen[k], static_cast<int64_t>(k + 1));
}

TEST(Sweep, CancelEndsAllThreads) {
  const auto items = SmallSeries(200);
  std::atomic<int> polls{0};
  SweepOptions options;
  options.threads = 4;
  options.cancel = [&polls] { return ++polls > 50; };
  const auto sweep = RunSweep(items, options);
  ASSERT_FALSE(sweep.ok());
  EXPECT_EQ(sweep.error().kind, ErrorKind::kCancelled);
  EXPECT_LT(polls.load(), 100);
}

TEST(Sweep, RefusesBadOptions) {
  SweepOptions options;
  options.threads = kMaxSweepThreads + 1;
  EXPECT_EQ(RunSweep({}, options).error().field, "threads");
  options.threads = 1;
  options.features.connectivity = 6;
  EXPECT_EQ(RunSweep({}, options).error().field, "connectivity");
  EXPECT_TRUE(RunSweep({})->rows.empty());
  const std::vector<SweepItem> many(kMaxSweepItems + 1);
  EXPECT_EQ(RunSweep(many).error().field, "items");
}

}  // namespace
}  // namespace mfn::engine
