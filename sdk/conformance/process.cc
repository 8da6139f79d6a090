// Read from /proc and from the C library.
#include "process.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cfenv>
#include <cfloat>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

extern char** environ;

namespace mfn::conformance {
namespace {

namespace fs = std::filesystem;

int CountThreads() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/task")) ++count;
  return count;
}

std::map<int, std::string> OpenFiles() {
  std::map<int, std::string> files;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const fs::path target = fs::read_symlink(entry.path(), error);
    // The listing itself is open while it is read.
    if (error || target.string().find("/proc/") == 0) continue;
    files[std::stoi(entry.path().filename())] = target;
  }
  return files;
}

std::string Bytes(const void* data, size_t size) {
  return std::string(static_cast<const char*>(data), size);
}

std::vector<std::string> Signals() {
  std::vector<std::string> all(1);
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction action;
    std::memset(&action, 0, sizeof(action));
    const bool known = sigaction(number, nullptr, &action) == 0;
    all.push_back(known ? Bytes(&action.sa_handler, sizeof(action.sa_handler)) : "");
  }
  return all;
}

}  // namespace

ProcessState ProcessState::Now() {
  ProcessState now;
  now.threads = CountThreads();
  now.files = OpenFiles();
  now.signals = Signals();
  sigset_t blocked;
  sigemptyset(&blocked);
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  for (int number = 1; number <= SIGRTMAX; ++number) {
    now.blocked_signals += sigismember(&blocked, number) == 1 ? '1' : '0';
  }
  now.locale = std::setlocale(LC_ALL, nullptr);
  now.directory = fs::current_path();
  for (char** entry = environ; *entry != nullptr; ++entry) now.environment.push_back(*entry);
  now.umask = static_cast<int>(::umask(0));
  ::umask(static_cast<mode_t>(now.umask));
  now.rounding = std::fegetround();
  volatile double smallest = DBL_MIN;
  now.denormals = smallest / 2 != 0;
  return now;
}

std::string ProcessState::Difference(const ProcessState& after) const {
  if (after.threads > threads) {
    return std::to_string(after.threads - threads) +
           " threads are left running; join them before returning from destroy";
  }
  for (const auto& [number, target] : after.files) {
    if (files.count(number) == 0) {
      return "file descriptor " + std::to_string(number) + " is left open on " + target +
             "; close it in destroy";
    }
  }
  for (const auto& [number, target] : files) {
    if (after.files.count(number) == 0) {
      return "file descriptor " + std::to_string(number) + ", which is the host's, was closed";
    }
  }
  for (size_t number = 1; number < signals.size(); ++number) {
    if (signals[number] == after.signals[number]) continue;
    return "the handler of signal " + std::to_string(number) + " (" +
           strsignal(static_cast<int>(number)) +
           ") was changed; signals are the host's: leave them alone";
  }
  if (blocked_signals != after.blocked_signals) {
    return "the calling thread's signal mask was changed; put it back before returning";
  }
  if (locale != after.locale) {
    return "the locale was changed to " + after.locale + "; use newlocale and the _l functions";
  }
  if (directory != after.directory) {
    return "the working directory was changed to " + after.directory + "; use absolute paths";
  }
  if (environment != after.environment) {
    return "the environment was changed; it is the host's, and changing it is not thread-safe";
  }
  if (umask != after.umask) return "the umask was changed; set modes with fchmod";
  if (rounding != after.rounding) return "the rounding mode was changed; put it back";
  if (denormals != after.denormals) {
    return "denormal numbers are flushed to zero now, which changes the host's results; do not "
           "link with -ffast-math";
  }
  return "";
}

int SettledThreads(int expected) {
  const auto bound = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  int threads = CountThreads();
  while (threads > expected && std::chrono::steady_clock::now() < bound) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    threads = CountThreads();
  }
  return threads;
}

}  // namespace mfn::conformance
