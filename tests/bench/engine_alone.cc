// The engine with nothing around it: the yardstick for pipelines, and what is compared with NumPy.
//
//   engine_alone COUNT GRID STEPS THREADS [plain] [jitter] [grid] [elapsed]
//
// Prints simulations per second. The clock starts when each worker has its memory and its threads,
// and has done one run that does not count.
//
// Each run computes what a pipeline computes of a request (features included, unless "plain"), with
// memory reused. THREADS simulate side by side or, with "grid", work on one grid. With one thread
// the time is that thread's processor time, unless "elapsed": others on the machine make it no
// longer.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/engine/run.h"

namespace {

struct Options {
  mfn::engine::SimulationConfig config;
  bool features = true;
  size_t grid_threads = 1;
};

// Runs simulations on the same memory.
class Worker {
 public:
  explicit Worker(const Options& options) : config_(options.config) {
    if (options.features) run_.features.emplace();
    run_.arena = &arena_;
    run_.threads = options.grid_threads;
  }

  // Those from `next` on until it passes `count`, after one that does not count and when all are
  // `ready`; false if one failed.
  template <typename Ready>
  bool Work(Ready* ready, std::atomic<int64_t>* next, int64_t count) {
    const bool warm = Run(count);
    ready->arrive_and_wait();
    if (!warm) return false;
    for (int64_t k; (k = next->fetch_add(1)) < count;) {
      if (!Run(k)) return false;
    }
    return true;
  }

 private:
  bool Run(int64_t seed) {
    config_.seed = mfn::engine::Seed(static_cast<uint64_t>(seed));
    return mfn::engine::RunSimulation(config_, run_).ok();
  }

  mfn::engine::SimulationConfig config_;
  mfn::engine::RunOptions run_;
  mfn::engine::Simulation arena_;
};

double Seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(
        stderr, "usage: engine_alone COUNT GRID STEPS THREADS [plain] [jitter] [grid] [elapsed]\n");
    return 2;
  }
  const std::set<std::string> flags(argv + 5, argv + argc);
  const int64_t count = std::atoll(argv[1]);
  const int threads = std::max(1, std::atoi(argv[4]));
  Options options;
  options.config.grid_size = std::atoll(argv[2]);
  options.config.steps = std::atoll(argv[3]);
  options.config.quantum_jitter = flags.count("jitter") > 0;
  options.features = flags.count("plain") == 0;
  const bool one_grid = flags.count("grid") > 0;
  if (one_grid) options.grid_threads = static_cast<size_t>(threads);
  std::atomic<int64_t> next{0};
  std::atomic<bool> ok{true};
  std::vector<std::thread> helpers;
  const bool processor_time = threads == 1 && flags.count("elapsed") == 0;
  const clockid_t clock = processor_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const int workers = one_grid ? 1 : threads;
  double start = 0.0;
  std::barrier ready(workers, [&]() noexcept { start = Seconds(clock); });
  const auto work = [&] {
    if (!Worker(options).Work(&ready, &next, count)) ok = false;
  };
  for (int t = 1; t < workers; ++t) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  std::printf("%.4f\n", static_cast<double>(count) / (Seconds(clock) - start));
  return ok ? 0 : 1;
}
