// mfn-plugin-probe LIBRARY: loads a plugin as the server would, and tells what came of it in a line
// of JSON (probe.h). The server starts it before it loads a library that it does not know; by hand
// the line goes to stdout. It is linked with the protobuf descriptors of the server, so that a
// plugin with the same ones fails here. Exit codes: 0 it answered, 2 wrong arguments.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/registry/import.h"
#include "server/registry/library.h"
#include "server/registry/probe.h"

namespace {

absl::Status Probe(const std::string& path) {
  if (absl::Status s = mfn::registry::CheckSharedObject(path); !s.ok()) return s;
  auto descriptor = mfn::registry::OpenPlugin(path);
  if (!descriptor.ok()) return descriptor.status();
  auto plugin = mfn::registry::ImportPlugin(*descriptor);
  if (!plugin.ok()) {
    return absl::Status(plugin.status().code(),
                        absl::StrCat(path, ": ", plugin.status().message()));
  }
  // Whether the configuration is good does not matter; that checking one comes back does.
  for (const auto& component : plugin->components) component->schema->Validate("{}").IgnoreError();
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: mfn-plugin-probe LIBRARY\n", stderr);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::signal(SIGPIPE, SIG_IGN);
  const bool spawned = fcntl(mfn::registry::kProbeFd, F_GETFD) >= 0;
  const std::string answer = mfn::registry::ProbeAnswer(Probe(argv[1]));
  const ssize_t written =
      write(spawned ? mfn::registry::kProbeFd : STDOUT_FILENO, answer.data(), answer.size());
  // Not exit: what the library left to run at the end is not the server's concern.
  _exit(written == static_cast<ssize_t>(answer.size()) ? 0 : 1);
}
