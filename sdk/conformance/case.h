// One conformance case: a rule of mfn/plugin.h and the code that tries it. Each case runs in a
// process of its own (runner.h), so it may crash, hang or change that process as it likes.
#ifndef MFN_CONFORMANCE_CASE_H_
#define MFN_CONFORMANCE_CASE_H_

#include <string>
#include <vector>

namespace mfn::conformance {

class Trial;

// How a case ends when it does not end well; thrown by the code of the case.
struct Failed {
  std::string text;  // what was seen, and what to do
};
struct Skipped {
  std::string text;  // why it could not be tried, and what would let it
};
// The component lacks what the case is about; nothing is reported.
struct Inapplicable {};

struct Case {
  const char* name;
  const char* rule;   // for --list
  bool of_component;  // false: once for the library
  void (*run)(Trial&);
};

// All of them, in the order in which they run: what others rely on comes first.
std::vector<Case> LibraryCases();
std::vector<Case> ConfigCases();
std::vector<Case> LifeCases();
std::vector<Case> CallCases();
std::vector<Case> SourceCases();
std::vector<Case> SinkCases();
std::vector<Case> ExecutorCases();
std::vector<Case> AllCases();
// No rule: it is "skipped" with the component types, as a JSON array.
Case ListCase();

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_CASE_H_
