#include "server/pipeline/simulation_figures.h"

namespace mfn::pipeline {

SimulationFigures& SimulationFigures::OfProcess() {
  static SimulationFigures figures;
  return figures;
}

SimulationFigures::Run::Run() : start_(std::chrono::steady_clock::now()) {
  OfProcess().active.fetch_add(1, std::memory_order_relaxed);
}

SimulationFigures::Run::~Run() {
  SimulationFigures& figures = OfProcess();
  const auto took = std::chrono::steady_clock::now() - start_;
  figures.nanos.fetch_add(std::chrono::nanoseconds(took).count(), std::memory_order_relaxed);
  figures.active.fetch_sub(1, std::memory_order_relaxed);
  if (cell_steps_ < 0) {
    figures.failed.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  figures.succeeded.fetch_add(1, std::memory_order_relaxed);
  figures.cell_steps.fetch_add(static_cast<uint64_t>(cell_steps_), std::memory_order_relaxed);
}

}  // namespace mfn::pipeline
