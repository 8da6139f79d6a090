// Runs each case in a process of its own, with a time limit and resource limits, in an empty
// folder.
#ifndef MFN_CONFORMANCE_RUNNER_H_
#define MFN_CONFORMANCE_RUNNER_H_

#include <string>

#include "case.h"
#include "trial.h"

namespace mfn::conformance {

enum class Verdict { kOk, kFailed, kSkipped, kInapplicable };

struct Outcome {
  Verdict verdict = Verdict::kOk;
  std::string text;
};

// In the parent: starts this program again for that case and waits. A process that dies, prints or
// does not end is a failure, and the text says in which step.
Outcome RunInChild(const Case& test, const Options& options);

// In the child that RunInChild started; `arguments` are its own. Ends the process.
[[noreturn]] void ChildMain(int count, char** arguments);

// The flag that tells a child from a parent.
inline constexpr char kChildFlag[] = "--run-one-case";

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_RUNNER_H_
