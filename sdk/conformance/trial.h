// What a running case has at hand, in its own process.
#ifndef MFN_CONFORMANCE_TRIAL_H_
#define MFN_CONFORMANCE_TRIAL_H_

#include <mfn/plugin.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "schema.h"

namespace mfn::conformance {

// What the command line asked for; handed on to each case's process.
struct Options {
  std::string library;    // absolute path
  std::string config;     // JSON text; empty: made from the schema
  std::string component;  // empty: every one
  uint64_t seed = 1;
  int fuzz = 200;      // configurations to try
  int timeout_s = 20;  // of one case
};

class Trial {
 public:
  // Steps are written to that descriptor, for the runner to name the one in which a case died.
  Trial(Options options, int progress) : options_(std::move(options)), progress_(progress) {}

  const Options& options() const { return options_; }
  void Step(const std::string& what);
  // What the next steps are about ("a tombstone"); shown with each, until it changes.
  void About(std::string what) { about_ = std::move(what); }

  // dlopen, once; Failed with the linker's words. Never unloaded.
  void Load();
  // The entry point's answer; loads first.
  const mfn_plugin& plugin();
  // The component under test. Failed when there is none of that type.
  const mfn_component& component();
  // Failed when it is none.
  const Schema& schema();
  // The given configuration, or one made from the schema.
  const std::string& config();
  bool config_is_given() const { return !options_.config.empty(); }

 private:
  const Options options_;
  const int progress_;
  std::string about_;
  void* library_ = nullptr;
  const mfn_plugin* plugin_ = nullptr;
  std::optional<Schema> schema_;
  std::string config_;
};

// " with config {...}", cut to a readable length.
std::string Shown(const std::string& config);

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_TRIAL_H_
