// How much this process has simulated, whoever asked for it. Thread-safe.
//
//   SimulationFigures::Run run;     // active until it goes
//   ...
//   run.Done(cells * steps);            // else it counts as failed
#ifndef MFN_SERVER_PIPELINE_SIMULATION_FIGURES_H_
#define MFN_SERVER_PIPELINE_SIMULATION_FIGURES_H_

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mfn::pipeline {

struct SimulationFigures {
  std::atomic<uint64_t> succeeded{0}, failed{0};  // runs; a cancelled one has failed
  std::atomic<uint64_t> cell_steps{0};            // of those that succeeded
  std::atomic<int64_t> active{0};
  std::atomic<int64_t> nanos{0};  // time that runs took, on one thread each

  static SimulationFigures& OfProcess();

  class Run {
   public:
    Run();
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    void Done(int64_t count) { cell_steps_ = count; }

   private:
    const std::chrono::steady_clock::time_point start_;
    int64_t cell_steps_ = -1;  // below zero: not done
  };
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_SIMULATION_FIGURES_H_
