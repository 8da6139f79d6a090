// A counter that threads draw items from, and one result slot per item.

#include "server/engine/math/sweep.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "server/engine/run.h"

namespace mfn::engine {
namespace {

// What one simulation left: a row or an error.
struct Outcome {
  std::optional<SweepRow> row;
  std::optional<Error> error;
};

// Shared by the threads of one sweep. Every item is taken by exactly one thread, which alone writes
// its outcome; the joins publish the outcomes to the caller.
class Sweep {
 public:
  Sweep(std::span<const SweepItem> items, const SweepOptions& options)
      : items_(items), options_(options), outcomes_(items.size()) {}

  // Works until no item is left; one call per thread.
  void Work() {
    Simulation arena;
    while (!stopped_.load(std::memory_order_relaxed)) {
      const size_t k = next_.fetch_add(1, std::memory_order_relaxed);
      if (k >= items_.size()) return;
      outcomes_[k] = RunOne(items_[k], &arena);
      if (outcomes_[k].error && outcomes_[k].error->kind == ErrorKind::kCancelled) {
        stopped_.store(true, std::memory_order_relaxed);
        return;
      }
      Report();
    }
  }

  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  std::vector<Outcome>& outcomes() { return outcomes_; }

 private:
  Outcome RunOne(const SweepItem& item, Simulation* arena) const {
    if (auto ok = CheckLimits(item.config, options_.limits); !ok.ok()) return {{}, ok.error()};
    RunOptions run;
    run.features = options_.features;
    run.arena = arena;
    run.cancel = [this] { return stopped() || (options_.cancel && options_.cancel()); };
    Expected<RunResult> result = RunSimulation(item.config, run);
    if (!result.ok()) return {{}, result.error()};
    SweepRow row{item, *result->features, result->counters};
    row.item.config.seed = result->seed;
    return {std::move(row), {}};
  }

  void Report() {
    if (!options_.progress) return;
    const std::lock_guard lock(progress_mutex_);
    options_.progress(++finished_, static_cast<int64_t>(items_.size()));
  }

  const std::span<const SweepItem> items_;
  const SweepOptions& options_;
  std::vector<Outcome> outcomes_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::mutex progress_mutex_;
  int64_t finished_ = 0;  // guarded by progress_mutex_
};

size_t ThreadCount(int64_t wanted, size_t items) {
  const size_t threads =
      wanted == 0 ? std::thread::hardware_concurrency() : static_cast<size_t>(wanted);
  return std::clamp<size_t>(threads, 1, std::max<size_t>(items, 1));
}

// Runs `work` on `count` threads, the caller's included, and waits for all.
template <typename Work>
void RunOnThreads(size_t count, const Work& work) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    while (threads.size() + 1 < count) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer threads do the same work.
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

Expected<SweepResult> RunSweep(std::span<const SweepItem> items, const SweepOptions& options) {
  if (options.threads < 0 || options.threads > kMaxSweepThreads) {
    return InvalidArgument("threads", static_cast<double>(options.threads), 0.0,
                           static_cast<double>(kMaxSweepThreads));
  }
  if (items.size() > static_cast<size_t>(kMaxSweepItems)) {
    return InvalidArgument("items", static_cast<double>(items.size()), 0.0,
                           static_cast<double>(kMaxSweepItems));
  }
  if (auto ok = options.features.Validate(); !ok.ok()) return ok.error();
  Sweep sweep(items, options);
  RunOnThreads(ThreadCount(options.threads, items.size()), [&sweep] { sweep.Work(); });
  if (sweep.stopped()) {
    Error error;
    error.kind = ErrorKind::kCancelled;
    error.message = "the sweep was cancelled";
    return error;
  }
  SweepResult result;
  for (size_t k = 0; k < items.size(); ++k) {
    Outcome& outcome = sweep.outcomes()[k];
    if (outcome.row) {
      result.rows.push_back(*std::move(outcome.row));
    } else {
      result.failures.push_back({items[k].sim_id, *std::move(outcome.error)});
    }
  }
  return result;
}

}  // namespace mfn::engine
