// mfn-plugin-check: holds a plugin to the rules of mfn/plugin.h, one process per rule.
//
// Exit codes: 0 every case that could be tried is ok; 1 a case failed; 2 bad flags or no such file.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "case.h"
#include "runner.h"
#include "trial.h"

namespace mfn::conformance {
namespace {

constexpr char kUsage[] =
    "usage: mfn-plugin-check [flags] plugin.so\n"
    "  --config FILE     the configuration to use, JSON; else one is made from the schema\n"
    "  --component TYPE  check that component only; needed with --config if there are several\n"
    "  --only PREFIX     only the cases whose names start so (may be repeated)\n"
    "  --seed N          of the configurations that are tried; default 1\n"
    "  --fuzz N          how many of them; default 200\n"
    "  --timeout S       of one case, in seconds; default 20\n"
    "  --json            one JSON object instead of lines\n"
    "  --list            the cases and their rules\n"
    "exit code: 0 ok, 1 a case failed, 2 wrong use\n";

struct Flags {
  Options options;
  std::vector<std::string> only;
  bool json = false, list = false;
};

[[noreturn]] void Usage(const std::string& problem) {
  std::fprintf(stderr, "mfn-plugin-check: %s\n%s", problem.c_str(), kUsage);
  std::exit(2);
}

uint64_t Number(const std::string& flag, const char* text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (*text == '\0' || *text == '-' || *end != '\0') Usage(flag + " needs a number, not " + text);
  return value;
}

std::string ReadConfig(const std::string& path) {
  std::ifstream in(path);
  if (!in) Usage(path + ": cannot be opened");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto config = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) Usage(path + ": not a JSON object");
  return config.dump();
}

Flags ParseFlags(int count, char** arguments) {
  Flags flags;
  for (int i = 1; i < count; ++i) {
    const std::string flag = arguments[i];
    const auto value = [&] {
      if (i + 1 == count) Usage(flag + " needs a value");
      return arguments[++i];
    };
    if (flag == "--config") {
      flags.options.config = ReadConfig(value());
    } else if (flag == "--component") {
      flags.options.component = value();
    } else if (flag == "--only") {
      flags.only.push_back(value());
    } else if (flag == "--seed") {
      flags.options.seed = Number(flag, value());
    } else if (flag == "--fuzz") {
      flags.options.fuzz = static_cast<int>(std::min<uint64_t>(Number(flag, value()), 1000000));
    } else if (flag == "--timeout") {
      flags.options.timeout_s =
          static_cast<int>(std::clamp<uint64_t>(Number(flag, value()), 1, 3600));
    } else if (flag == "--json") {
      flags.json = true;
    } else if (flag == "--list") {
      flags.list = true;
    } else if (flag == "--help" || flag == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    } else if (flag[0] == '-' || !flags.options.library.empty()) {
      Usage("unknown argument " + flag);
    } else {
      flags.options.library = flag;
    }
  }
  if (flags.list) return flags;
  if (flags.options.library.empty()) Usage("which plugin?");
  std::error_code error;
  const auto path = std::filesystem::canonical(flags.options.library, error);
  if (error) Usage(flags.options.library + ": " + error.message());
  flags.options.library = path;
  return flags;
}

// Prints and counts as the cases end.
class Report {
 public:
  Report(bool json, const Options& options) : json_(json), cases_(nlohmann::json::array()) {
    head_ = {{"plugin", options.library}, {"seed", options.seed}};
  }
  void Add(const Case& test, const std::string& component, const Outcome& outcome) {
    if (outcome.verdict == Verdict::kInapplicable) return;
    static constexpr const char* kWords[] = {"ok", "FAILED", "skipped"};
    const int verdict = static_cast<int>(outcome.verdict);
    ++counts_[verdict];
    if (json_) {
      cases_.push_back({{"case", test.name},
                        {"component", component},
                        {"verdict", kWords[verdict]},
                        {"text", outcome.text}});
      return;
    }
    const std::string subject = component.empty() ? "" : component + ": ";
    std::printf("%-8s %s%s%s%s\n", kWords[verdict], subject.c_str(), test.name,
                outcome.text.empty() ? "" : ": ", outcome.text.c_str());
    std::fflush(stdout);
  }
  int Finish() {
    if (json_) {
      head_["cases"] = std::move(cases_);
      head_["ok"] = counts_[0];
      head_["failed"] = counts_[1];
      head_["skipped"] = counts_[2];
      std::puts(head_.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } else {
      std::printf("%d ok, %d failed, %d skipped\n", counts_[0], counts_[1], counts_[2]);
    }
    return counts_[1] > 0 ? 1 : 0;
  }
  bool failed() const { return counts_[1] > 0; }

 private:
  const bool json_;
  int counts_[3] = {0, 0, 0};
  nlohmann::json head_, cases_;
};

bool Wanted(const Flags& flags, const std::string& name) {
  if (flags.only.empty()) return true;
  for (const std::string& prefix : flags.only) {
    if (name.compare(0, prefix.size(), prefix) == 0) return true;
  }
  return false;
}

// The component types, asked of a process of its own: this one never loads the plugin.
std::vector<std::string> Components(const Options& options) {
  const Outcome outcome = RunInChild(ListCase(), options);
  if (outcome.verdict != Verdict::kSkipped) return {};
  return nlohmann::json::parse(outcome.text).get<std::vector<std::string>>();
}

int Run(Flags flags) {
  Report report(flags.json, flags.options);
  for (const Case& test : LibraryCases()) {
    if (Wanted(flags, test.name)) report.Add(test, "", RunInChild(test, flags.options));
  }
  std::vector<std::string> components = Components(flags.options);
  const std::string chosen = flags.options.component;
  if (!chosen.empty()) {
    if (std::find(components.begin(), components.end(), chosen) == components.end()) {
      Usage("the plugin has no component " + chosen);
    }
    components = {chosen};
  }
  if (components.size() > 1 && !flags.options.config.empty()) {
    Usage("--config needs --component, since the plugin has several components");
  }
  // Without components there is nothing more to try; then a case has said why, or does it now.
  if (components.empty() && !report.failed()) {
    report.Add(ListCase(), "", {Verdict::kFailed, "the plugin cannot be asked for its components"});
  }
  for (const std::string& component : components) {
    flags.options.component = component;
    for (const Case& test : AllCases()) {
      if (!test.of_component || !Wanted(flags, test.name)) continue;
      report.Add(test, component, RunInChild(test, flags.options));
    }
  }
  return report.Finish();
}

}  // namespace
}  // namespace mfn::conformance

int main(int count, char** arguments) {
  using namespace mfn::conformance;  // NOLINT(google-build-using-namespace): names of this program
  if (count > 1 && std::strcmp(arguments[1], kChildFlag) == 0) ChildMain(count, arguments);
  const Flags flags = ParseFlags(count, arguments);
  if (flags.list) {
    for (const Case& test : AllCases()) std::printf("%-20s %s\n", test.name, test.rule);
    return 0;
  }
  try {
    return Run(flags);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mfn-plugin-check: %s\n", error.what());
    return 2;
  }
}
