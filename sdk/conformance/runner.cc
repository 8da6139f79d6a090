// The two sides of a case's process. They speak through a pipe: lines "step <what>", then a line
// "verdict <which>" and its text.
#include "runner.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <vector>

extern char** environ;

namespace mfn::conformance {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr int kProgressFd = 3;
constexpr size_t kMaxOutput = 1 << 16;
constexpr char kOk[] = "ok", kFailed[] = "failed", kSkipped[] = "skipped", kNone[] = "none";

// A folder that goes away with it.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mfn-check-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe to be had");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    CloseWriter();
    close(ends[0]);
  }
  void CloseWriter() {
    if (ends[1] >= 0) close(ends[1]);
    ends[1] = -1;
  }
  int ends[2];
};

// Adds what is there to be read now; the end of a long text is what counts.
void Drain(int fd, std::string* text) {
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    text->append(buffer, static_cast<size_t>(n));
    if (text->size() > 2 * kMaxOutput) text->erase(0, text->size() - kMaxOutput);
  }
}

struct Ending {
  int status = 0;
  bool in_time = false;
  std::string progress, output;
};

Ending Wait(pid_t child, const Pipe& progress, const Pipe& output, int timeout_s) {
  Ending ending;
  for (const int fd : {progress.ends[0], output.ends[0]}) fcntl(fd, F_SETFL, O_NONBLOCK);
  const auto bound = SteadyClock::now() + std::chrono::seconds(timeout_s);
  for (int left = 0; SteadyClock::now() < bound && left == 0;) {
    struct pollfd wait[2] = {{progress.ends[0], POLLIN, 0}, {output.ends[0], POLLIN, 0}};
    poll(wait, 2, 20);
    Drain(progress.ends[0], &ending.progress);
    Drain(output.ends[0], &ending.output);
    left = waitpid(child, &ending.status, WNOHANG);
    ending.in_time = left == child;
  }
  // The group, so that what the plugin may have started goes too.
  kill(-child, SIGKILL);
  if (!ending.in_time) waitpid(child, &ending.status, 0);
  Drain(progress.ends[0], &ending.progress);
  Drain(output.ends[0], &ending.output);
  return ending;
}

pid_t Spawn(const std::vector<std::string>& arguments, const Pipe& progress, const Pipe& output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output.ends[1], 1);
  posix_spawn_file_actions_adddup2(&files, output.ends[1], 2);
  posix_spawn_file_actions_adddup2(&files, progress.ends[1], kProgressFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = -1;
  const int error =
      posix_spawn(&child, "/proc/self/exe", &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw std::runtime_error(std::string("cannot start a case: ") + strerror(error));
  return child;
}

// What a plugin has said may be long, and anything: one readable line of it.
std::string Readable(std::string text) {
  constexpr size_t kMost = 2000;
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text;
}

std::string LastStep(const std::string& progress) {
  const size_t at = ("\n" + progress).rfind("\nstep ");
  if (at == std::string::npos) return "starting";
  return progress.substr(at + 5, progress.find('\n', at) - at - 5);
}

std::string Tail(const std::string& output) {
  constexpr size_t kShown = 600;
  std::string tail =
      output.size() <= kShown ? output : "..." + output.substr(output.size() - kShown);
  while (!tail.empty() && tail.back() == '\n') tail.pop_back();
  return tail;
}

Outcome Judge(const Ending& ending, int timeout_s) {
  const std::string step = LastStep(ending.progress);
  const std::string printed = ending.output.empty() ? "" : "; it printed: " + Tail(ending.output);
  if (!ending.in_time) {
    return {Verdict::kFailed,
            "did not end within " + std::to_string(timeout_s) + " s, while " + step + printed};
  }
  if (WIFSIGNALED(ending.status)) {
    return {Verdict::kFailed, std::string("crashed (") + strsignal(WTERMSIG(ending.status)) +
                                  "), while " + step + printed};
  }
  const size_t at = ("\n" + ending.progress).rfind("\nverdict ");
  if (at == std::string::npos || WEXITSTATUS(ending.status) != 0) {
    return {Verdict::kFailed, "ended the process with exit code " +
                                  std::to_string(WEXITSTATUS(ending.status)) + ", while " + step +
                                  printed + "; a plugin never exits"};
  }
  const size_t end = ending.progress.find('\n', at);
  const std::string which = ending.progress.substr(at + 8, end - at - 8);
  const std::string text = ending.progress.substr(end + 1);
  if (which == kFailed) return {Verdict::kFailed, text};
  if (which == kNone) return {Verdict::kInapplicable, ""};
  if (!ending.output.empty()) {
    return {Verdict::kFailed, "it printed \"" + Tail(ending.output) +
                                  "\"; stdout and stderr are the host's: use mfn_host.log"};
  }
  return {which == kSkipped ? Verdict::kSkipped : Verdict::kOk, text};
}

void Limit(int resource, rlim_t most) {
  struct rlimit limit;
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return;
  limit.rlim_cur = std::min(most, limit.rlim_max);
  setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

void LimitResources(const Options& options) {
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_CPU, static_cast<rlim_t>(2 * options.timeout_s));
  Limit(RLIMIT_FSIZE, rlim_t{1} << 30);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A sanitizer reserves terabytes of addresses.
  Limit(RLIMIT_AS, rlim_t{8} << 30);
#endif
}

}  // namespace

Outcome RunInChild(const Case& test, const Options& options) {
  const Folder folder;
  Pipe progress, output;
  const pid_t child =
      Spawn({"mfn-plugin-check", kChildFlag, test.name, options.library, options.component,
             options.config, std::to_string(options.seed), std::to_string(options.fuzz),
             std::to_string(options.timeout_s), folder.path()},
            progress, output);
  progress.CloseWriter();
  output.CloseWriter();
  return Judge(Wait(child, progress, output, options.timeout_s), options.timeout_s);
}

void ChildMain(int count, char** arguments) {
  if (count != 10) std::exit(2);
  fcntl(kProgressFd, F_SETFD, FD_CLOEXEC);
  Options options;
  const std::string name = arguments[2];
  options.library = arguments[3];
  options.component = arguments[4];
  options.config = arguments[5];
  options.seed = std::strtoull(arguments[6], nullptr, 10);
  options.fuzz = std::atoi(arguments[7]);
  options.timeout_s = std::atoi(arguments[8]);
  if (chdir(arguments[9]) != 0) std::exit(2);
  LimitResources(options);
  std::signal(SIGPIPE, SIG_IGN);  // as the server does
  std::string verdict = kOk, text;
  Trial trial(options, kProgressFd);
  try {
    std::vector<Case> cases = AllCases();
    cases.push_back(ListCase());
    for (const Case& test : cases) {
      if (name == test.name) test.run(trial);
    }
  } catch (const Failed& failed) {
    verdict = kFailed;
    text = failed.text;
  } catch (const Skipped& skipped) {
    verdict = kSkipped;
    text = skipped.text;
  } catch (const Inapplicable&) {
    verdict = kNone;
  } catch (const std::exception& error) {
    verdict = kFailed;
    text = std::string("an exception came out of it: ") + error.what();
  }
  trial.Step("ending the process");
  const std::string message = "verdict " + verdict + "\n" + Readable(std::move(text));
  if (write(kProgressFd, message.data(), message.size()) < 0) std::_Exit(2);
  std::exit(0);
}

}  // namespace mfn::conformance
