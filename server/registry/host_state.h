// What belongs to the server and any code in its process could change: signal handlers, the locale,
// the working directory, the alarm clock, where stdin, stdout and stderr lead, and, per thread, the
// arithmetic (rounding, denormals), the locale and blocked signals. Plugins must leave all of it
// alone; some change it without knowing, as a library built with -ffast-math does when it is
// loaded.
#ifndef MFN_SERVER_REGISTRY_HOST_STATE_H_
#define MFN_SERVER_REGISTRY_HOST_STATE_H_

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

namespace mfn::registry {

// Of the process. Captured before a plugin can have changed anything; one per registry.
class HostState {
 public:
  HostState();
  ~HostState();
  HostState(const HostState&) = delete;
  HostState& operator=(const HostState&) = delete;

  // Puts back what is not as it was captured. Says what that was, for people: "the handler of
  // SIGTERM (set by /opt/mfn/x.so), the locale"; empty: nothing. Thread-safe in itself; another
  // thread that changes the same things at the same time may win. About 15 system calls.
  std::string Restore() const;
  // The same, at most once a second; for after each call of a plugin.
  std::string RestoreSometimes() const;

 private:
  struct StdFd {
    dev_t device = 0;
    ino_t inode = 0;
    int copy = -1;  // -1: it was closed
  };

  std::array<struct sigaction, 65> handlers_;  // by signal; [0] is not used
  std::string locale_;
  std::string directory_;
  std::array<StdFd, 3> std_fds_;
  mutable std::atomic<int64_t> next_{0};  // steady nanoseconds
};

// Of the calling thread, for the time that plugin code runs on it.
class ThreadState {
 public:
  // A few nanoseconds; with `signals`, which is whether to look at those that are blocked, a system
  // call more.
  explicit ThreadState(bool signals);
  // As above: puts back, and tells what. On the same thread.
  std::string Restore() const;

 private:
  const uint32_t arithmetic_;
  void* const locale_;  // locale_t
  const bool signals_;
  sigset_t blocked_;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_HOST_STATE_H_
