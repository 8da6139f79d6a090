// posix_spawn, two pipes, a deadline.
#include "server/registry/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/registry/text.h"

extern char** environ;

namespace mfn::registry {
namespace {

using Json = nlohmann::json;
using std::chrono::steady_clock;

constexpr size_t kMaxAnswer = 1 << 16;
constexpr size_t kMaxWords = 512;  // the last ones that the library printed
constexpr int kFirstFd = 10;       // above those that the child gives a meaning to

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Take(int fd) {
    Close();
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read, write;
  bool Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    const Fd low_read(ends[0]), low_write(ends[1]);
    read.Take(fcntl(ends[0], F_DUPFD_CLOEXEC, kFirstFd));
    write.Take(fcntl(ends[1], F_DUPFD_CLOEXEC, kFirstFd));
    return read.get() >= 0 && write.get() >= 0 && fcntl(read.get(), F_SETFL, O_NONBLOCK) == 0;
  }
};

// Reads what is there, but no more than a pipe holds: who writes without end must not hold up
// whoever looks at the clock. Closes at the end.
void Drain(Fd* fd, size_t keep_last, std::string* out) {
  std::array<char, 4096> block;
  for (int blocks = 0; blocks < 16 && fd->get() >= 0; ++blocks) {
    const ssize_t n = read(fd->get(), block.data(), block.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      fd->Close();
      return;
    }
    out->append(block.data(), static_cast<size_t>(n));
    if (out->size() > keep_last) out->erase(0, out->size() - keep_last);
  }
}

// The helper in a process group of its own, so that what it starts ends with it.
class Child {
 public:
  // 0, or the error.
  int Spawn(const std::string& helper, const std::string& path, const Pipe& answer,
            const Pipe& words) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, words.write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, words.write.get(), STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files, answer.write.get(), kProbeFd);
    posix_spawn_file_actions_addclosefrom_np(&files, kProbeFd + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string program = helper, argument = path;
    std::array<char*, 3> argv = {program.data(), argument.data(), nullptr};
    const int error = posix_spawn(&pid_, helper.c_str(), &files, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return error;
  }

  bool Ended() const {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
  }

  // Ends whatever is left of the group; returns how the helper itself ended.
  int Reap() const {
    kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0) {
      if (errno != EINTR) return -1;
    }
    return status;
  }

 private:
  pid_t pid_ = 0;
};

std::optional<absl::Status> ReadAnswer(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("code") || !json["code"].is_number_integer() ||
      !json.contains("message") || !json["message"].is_string()) {
    return std::nullopt;
  }
  return absl::Status(static_cast<absl::StatusCode>(json["code"].get<int>()),
                      json["message"].get<std::string>());
}

std::string HowItEnded(int status, bool timed_out, absl::Duration timeout) {
  if (timed_out) {
    return absl::StrCat("it was still being loaded after ", absl::FormatDuration(timeout));
  }
  if (status >= 0 && WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return absl::StrCat("loading it ended the process with SIG", name == nullptr ? "?" : name);
  }
  return absl::StrCat("loading it ended the process with exit code ",
                      status < 0 ? -1 : WEXITSTATUS(status));
}

absl::Status CannotRun(const std::string& helper, int error) {
  return absl::FailedPreconditionError(absl::StrCat(
      "plugins are probed before they are loaded, but ", helper, " cannot be run: ",
      std::strerror(error), "; install it there, or set server.plugins.probe to false"));
}

}  // namespace

std::string ProbeAnswer(const absl::Status& status) {
  Json json;
  json["code"] = static_cast<int>(status.code());
  json["message"] = std::string(status.message());
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::Status ProbePlugin(const std::string& helper, const std::string& path,
                         absl::Duration timeout) {
  Pipe answer, words;
  if (!answer.Open() || !words.Open()) return CannotRun(helper, errno);
  Child child;
  if (const int error = child.Spawn(helper, path, answer, words); error != 0) {
    return CannotRun(helper, error);
  }
  answer.write.Close();
  words.write.Close();
  const auto deadline = steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  std::string answered, said;
  bool ended = false;
  while (!ended && steady_clock::now() < deadline) {
    ended = child.Ended();
    Drain(&answer.read, kMaxAnswer, &answered);
    Drain(&words.read, kMaxWords, &said);
    std::array<pollfd, 2> open = {pollfd{answer.read.get(), POLLIN, 0},
                                  pollfd{words.read.get(), POLLIN, 0}};
    const bool silent = answer.read.get() < 0 && words.read.get() < 0;
    if (!ended) poll(open.data(), open.size(), silent ? 1 : 20);
  }
  const int status = child.Reap();
  Drain(&answer.read, kMaxAnswer, &answered);
  Drain(&words.read, kMaxWords, &said);
  if (ended) {
    if (const auto given = ReadAnswer(answered)) return *given;
  }
  std::string text = absl::StrCat(path, ": ", HowItEnded(status, !ended, timeout),
                                  ", so this server does not load it");
  if (!said.empty())
    absl::StrAppend(&text, "; its last words: ", CleanText(Bytes(said), kMaxWords));
  return absl::FailedPreconditionError(text);
}

}  // namespace mfn::registry
