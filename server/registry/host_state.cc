// Compares and puts back, one thing after the other.
#include "server/registry/host_state.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstring>

#include "absl/strings/str_cat.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace mfn::registry {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

// Those that a server depends on or that end a process. What is not here is not looked at.
constexpr std::array kSignals = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGABRT, SIGBUS,  SIGFPE,
                                 SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2};
constexpr std::array kStdNames = {"stdin", "stdout", "stderr"};
constexpr int kFirstCopy = 10;  // out of the way of what is opened when stdin is closed

// The bits of control, without those of status, which every operation sets.
uint32_t Arithmetic() {
#if defined(__x86_64__)
  uint16_t x87 = 0;
  __asm__ volatile("fnstcw %0" : "=m"(x87));
  return (_mm_getcsr() & 0xffc0u) | (uint32_t{x87} << 16);
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return static_cast<uint32_t>(control);
#endif
}

void SetArithmetic(uint32_t control) {
#if defined(__x86_64__)
  const auto x87 = static_cast<uint16_t>(control >> 16);
  __asm__ volatile("fldcw %0" ::"m"(x87));
  _mm_setcsr(control & 0xffffu);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(static_cast<uint64_t>(control)));
#endif
}

void Append(const std::string& what, std::string* all) {
  absl::StrAppend(all, all->empty() ? "" : ", ", what);
}

bool SameHandler(const struct sigaction& a, const struct sigaction& b) {
  // The kernel and libc add flags of their own; SA_SIGINFO decides which member is meant.
  if (((a.sa_flags ^ b.sa_flags) & SA_SIGINFO) != 0) return false;
  return (a.sa_flags & SA_SIGINFO) != 0 ? a.sa_sigaction == b.sa_sigaction
                                        : a.sa_handler == b.sa_handler;
}

// " (set by /opt/mfn/x.so)", or empty where the handler is no function of a library.
std::string Setter(const struct sigaction& action) {
  void* address = nullptr;
  std::memcpy(&address, &action.sa_handler, sizeof(address));
  Dl_info library;
  if (dladdr(address, &library) == 0 || library.dli_fname == nullptr) return "";
  return absl::StrCat(" (set by ", library.dli_fname, ")");
}

bool SameFile(int fd, dev_t device, ino_t inode) {
  struct stat now;
  return fstat(fd, &now) == 0 && now.st_dev == device && now.st_ino == inode;
}

std::string WorkingDirectory() {
  std::array<char, PATH_MAX> path;
  return getcwd(path.data(), path.size()) == nullptr ? "" : path.data();
}

}  // namespace

HostState::HostState() : locale_(setlocale(LC_ALL, nullptr)), directory_(WorkingDirectory()) {
  handlers_ = {};
  for (const int number : kSignals) {
    sigaction(number, nullptr, &handlers_[static_cast<size_t>(number)]);
  }
  for (size_t i = 0; i < std_fds_.size(); ++i) {
    struct stat file;
    if (fstat(static_cast<int>(i), &file) != 0) continue;
    std_fds_[i] = {file.st_dev, file.st_ino,
                   fcntl(static_cast<int>(i), F_DUPFD_CLOEXEC, kFirstCopy)};
  }
}

HostState::~HostState() {
  for (const StdFd& fd : std_fds_) {
    if (fd.copy >= 0) close(fd.copy);
  }
}

std::string HostState::Restore() const {
  std::string changed;
  for (const int number : kSignals) {
    const struct sigaction& before = handlers_[static_cast<size_t>(number)];
    struct sigaction now;
    if (sigaction(number, nullptr, &now) != 0 || SameHandler(before, now)) continue;
    sigaction(number, &before, nullptr);
    Append(absl::StrCat("the handler of SIG", sigabbrev_np(number), Setter(now)), &changed);
  }
  itimerval timer = {};
  if (getitimer(ITIMER_REAL, &timer) == 0 &&
      (timer.it_value.tv_sec | timer.it_value.tv_usec) != 0) {
    const itimerval off = {};
    setitimer(ITIMER_REAL, &off, nullptr);
    Append("the alarm clock", &changed);
  }
  if (locale_ != setlocale(LC_ALL, nullptr)) {
    setlocale(LC_ALL, locale_.c_str());
    Append("the locale", &changed);
  }
  if (!directory_.empty() && WorkingDirectory() != directory_) {
    Append(chdir(directory_.c_str()) == 0 ? "the working directory"
                                          : "the working directory (which is gone)",
           &changed);
  }
  for (size_t i = 0; i < std_fds_.size(); ++i) {
    const StdFd& before = std_fds_[i];
    if (before.copy < 0 || SameFile(static_cast<int>(i), before.device, before.inode)) continue;
    dup2(before.copy, static_cast<int>(i));
    Append(kStdNames[i], &changed);
  }
  return changed;
}

std::string HostState::RestoreSometimes() const {
  const int64_t now = std::chrono::steady_clock::now().time_since_epoch() / 1ns;
  int64_t next = next_.load(std::memory_order_relaxed);
  if (now < next || !next_.compare_exchange_strong(next, now + 1s / 1ns)) return "";
  return Restore();
}

ThreadState::ThreadState(bool signals)
    : arithmetic_(Arithmetic()), locale_(uselocale(nullptr)), signals_(signals), blocked_() {
  if (signals_) pthread_sigmask(SIG_SETMASK, nullptr, &blocked_);
}

std::string ThreadState::Restore() const {
  std::string changed;
  if (Arithmetic() != arithmetic_) {
    SetArithmetic(arithmetic_);
    Append("the arithmetic of the thread (rounding or denormals)", &changed);
  }
  if (uselocale(nullptr) != locale_) {
    uselocale(static_cast<locale_t>(locale_));
    Append("the locale of the thread", &changed);
  }
  if (!signals_) return changed;
  sigset_t now = {};  // the kernel writes the part that it knows
  pthread_sigmask(SIG_SETMASK, &blocked_, &now);
  if (std::memcmp(&now, &blocked_, sizeof(now)) != 0) {
    Append("the blocked signals of the thread", &changed);
  }
  return changed;
}

}  // namespace mfn::registry
