// mfnd: flags, signals, and the one App that does everything.
//
// Exit codes: 0 stopped by a signal, or the configuration is good; 1 what stderr says; 2 bad flags.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/app.h"
#include "server/base/allocator.h"
#include "server/base/config_loader.h"
#include "server/base/log.h"
#include "server/observability/spdlog_sink.h"

namespace {

constexpr char kUsage[] =
    "usage: mfnd [--config FILE] [--port-file FILE]   serve; without a file on 127.0.0.1:50051\n"
    "       mfnd --check [--print] [--config FILE]    check everything without starting;\n"
    "                                                 --print shows the normalised form\n"
    "       mfnd --version | --help\n"
    "SIGTERM and SIGINT drain and stop; a second one stops at once.\n";

struct Flags {
  std::string config, port_file;
  bool check = false, print = false;
};

// Exits for --help, --version and anything that is no flag.
Flags ParseFlags(int argc, char** argv) {
  Flags flags;
  for (int k = 1; k < argc; ++k) {
    const std::string flag = argv[k];
    const bool has_value = k + 1 < argc;
    if (flag == "--config" && has_value) {
      flags.config = argv[++k];
    } else if (flag == "--port-file" && has_value) {
      flags.port_file = argv[++k];
    } else if (flag == "--check") {
      flags.check = true;
    } else if (flag == "--print") {
      flags.print = true;
    } else if (flag == "--version" || flag == "--help") {
      std::fputs(flag == "--help" ? kUsage : "mfnd " MFN_VERSION "\n", stdout);
      std::exit(0);
    } else {
      std::fprintf(stderr, "mfnd: unknown flag or missing value: %s\n%s", argv[k], kUsage);
      std::exit(2);
    }
  }
  return flags;
}

// Problems of a file are lines that start with its name, for editors to jump to; others get ours.
int Fail(const absl::Status& status, const std::string& source = "") {
  const std::string text(status.message());
  const bool located = !source.empty() && text.compare(0, source.size(), source) == 0;
  std::fprintf(stderr, "%s%s\n", located ? "" : "mfnd: ", text.c_str());
  return 1;
}

// Renamed into place, so that who waits for the file never reads half a number.
absl::Status WritePort(const std::string& path, int port) {
  const std::string part = absl::StrCat(path, ".part");
  std::ofstream out(part);
  out << port << "\n";
  out.close();
  if (out && std::rename(part.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--port-file: cannot write ", path));
}

// A thread that is stuck in a plugin may still use whatever the end of the process would destroy.
void LeaveIfStuck(int code) {
  const int stuck = mfn::registry::StuckPluginThreads();
  if (stuck == 0) return;
  mfn::Log(mfn::LogLevel::kWarning, "mfnd", "stopped without waiting for calls of plugins",
           {{"stuck_threads", absl::StrCat(stuck)}});
  std::fflush(nullptr);
  _exit(code);
}

int Check(const Flags& flags, const mfn::Config& config, const std::string& source) {
  std::string printed;
  const absl::Status status = mfn::CheckConfig(config, source, flags.print ? &printed : nullptr);
  if (!status.ok()) return Fail(status, source);
  std::fputs(flags.print ? printed.c_str() : absl::StrCat(source, " is good\n").c_str(), stdout);
  return 0;
}

int Serve(const Flags& flags, const mfn::Config& config, const std::string& source,
          const sigset_t& signals) {
  auto app = mfn::App::Start(config, source);
  if (!app.ok()) return Fail(app.status(), source);
  if (!flags.port_file.empty()) {
    if (absl::Status s = WritePort(flags.port_file, (*app)->server().port()); !s.ok())
      return Fail(s);
  }
  std::printf("mfnd listening on %s\n", (*app)->server().address().c_str());
  if (const std::string http = (*app)->http_address(); !http.empty()) {
    std::printf("mfnd metrics and health on http://%s\n", http.c_str());
  }
  std::fflush(stdout);
  const mfn::MemoryReturner memory;
  int signal = 0;
  sigwait(&signals, &signal);
  std::thread([signals] {
    int second = 0;
    sigwait(&signals, &second);
    _exit(128 + second);
  }).detach();
  (*app)->Stop();
  LeaveIfStuck(0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Flags flags = ParseFlags(argc, argv);
  mfn::LimitAllocator();
  std::signal(SIGPIPE, SIG_IGN);
  // Blocked before any thread exists, so that only sigwait sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // Ignored above, and blocked: a plugin that gives SIGPIPE its handler back may not end the server
  // in the moment before that is put right.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  const mfn::EnvLookup env = mfn::ProcessEnv();
  const absl::Status logging =
      mfn::observability::InstallLogSink(env("MFN_LOG_LEVEL"), env("MFN_LOG_FORMAT"));
  if (!logging.ok()) return Fail(logging);
  const std::string source = flags.config.empty() ? "the built-in configuration" : flags.config;
  const auto config = flags.config.empty() ? mfn::LoadConfigText("", source, "", env)
                                           : mfn::LoadConfigFile(flags.config, env);
  if (!config.ok()) return Fail(config.status(), source);
  const std::string level = env("MFN_LOG_LEVEL").value_or("");
  const absl::Status again = mfn::observability::InstallLogSink(
      level.empty() ? config->server.log.level : level, env("MFN_LOG_FORMAT"));
  if (!again.ok()) return Fail(again);
  const int code =
      flags.check ? Check(flags, *config, source) : Serve(flags, *config, source, signals);
  LeaveIfStuck(code);
  return code;
}
