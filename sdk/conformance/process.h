// What a plugin shares with its host's process and must leave as it was.
#ifndef MFN_CONFORMANCE_PROCESS_H_
#define MFN_CONFORMANCE_PROCESS_H_

#include <map>
#include <string>
#include <vector>

namespace mfn::conformance {

struct ProcessState {
  static ProcessState Now();

  // What differs in `after`, with what to do about it; empty: nothing. Threads and files that are
  // gone do not count.
  std::string Difference(const ProcessState& after) const;

  int threads = 0;
  std::map<int, std::string> files;  // descriptor -> what it is open on
  std::vector<std::string> signals;  // handler, flags and mask of each
  std::string blocked_signals, locale, directory;
  std::vector<std::string> environment;
  int umask = 0, rounding = 0;
  bool denormals = true;  // false: the processor flushes them to zero
};

// Waits up to a second for threads that are just ending; returns how many run.
int SettledThreads(int expected);

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_PROCESS_H_
