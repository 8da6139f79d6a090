// The engine with nothing around it, on several threads: the yardstick for pipelines.
//
//   engine_alone COUNT GRID STEPS THREADS     prints simulations per second
//
// Each run computes what a pipeline computes of a request (features included), with memory reused.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "server/engine/run.h"

namespace {

// Runs simulations until `next` passes `count`; false if one failed.
bool Work(std::atomic<int64_t>* next, int64_t count, mfn::engine::SimulationConfig config) {
  auto arena = mfn::engine::Simulation::Create(config);
  if (!arena.ok()) return false;
  for (int64_t k; (k = next->fetch_add(1)) < count;) {
    config.seed = mfn::engine::Seed(static_cast<uint64_t>(k));
    mfn::engine::RunOptions options;
    options.features.emplace();
    options.arena = arena.value().get();
    if (!mfn::engine::RunSimulation(config, options).ok()) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: engine_alone COUNT GRID STEPS THREADS\n");
    return 2;
  }
  const int64_t count = std::atoll(argv[1]);
  mfn::engine::SimulationConfig config;
  config.grid_size = std::atoll(argv[2]);
  config.steps = std::atoll(argv[3]);
  std::atomic<int64_t> next{0};
  std::atomic<bool> ok{true};
  std::vector<std::thread> threads;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < std::atoi(argv[4]); ++t) {
    threads.emplace_back([&] {
      if (!Work(&next, count, config)) ok = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%.2f\n", static_cast<double>(count) / seconds.count());
  return ok ? 0 : 1;
}
