// Executors: any request is answered or refused, and the answer is the host's until it releases it.
#include <string>
#include <thread>

#include "case.h"
#include "records.h"
#include "subject.h"

namespace mfn::conformance {
namespace {

void OddRequests(Trial& trial) {
  NeedExecutor(trial);
  Subject subject(trial);
  subject.Connected();
  std::vector<Input> inputs = OddInputs();
  inputs.push_back(PlainInput());
  Input hollow = PlainInput();
  hollow.what = "an empty object";
  hollow.payload = "{}";
  inputs.push_back(hollow);
  for (const Input& input : inputs) {
    LentBatch request({input});
    mfn_batch answer;
    trial.About(input.what);
    subject.Execute(request.batch().records[0], &answer);
    // The answer must stand on its own: the request is gone.
    request.TakeBack();
    trial.Step("looking at the answer once the request is gone");
    std::string contents;
    for (uint64_t i = 0; i < answer.n_records; ++i) {
      contents += sdk::ToView(answer.records[i].payload);
      contents += sdk::ToView(answer.records[i].id);
    }
    trial.Step("releasing an answer on another thread");
    std::thread([&] { Release(&answer); }).join();
  }
}

}  // namespace

std::vector<Case> ExecutorCases() {
  return {
      {"execute.requests", "any request is answered or refused; the answer stands on its own", true,
       OddRequests},
  };
}

}  // namespace mfn::conformance
