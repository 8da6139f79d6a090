#include "server/pipeline/cores_of_process.h"

#include <thread>

namespace mfn::pipeline {

engine::Cores& CoresOfProcess() {
  static engine::Cores cores(std::thread::hardware_concurrency());
  return cores;
}

}  // namespace mfn::pipeline
