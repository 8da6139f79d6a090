// Loading as the server does it: everything resolved at once, nothing shared, never closed.
#include "trial.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "case.h"

namespace mfn::conformance {

std::string Shown(const std::string& config) {
  constexpr size_t kShown = 400;
  return config.size() <= kShown ? config : config.substr(0, kShown) + "...";
}

void Trial::Step(const std::string& what) {
  std::string line = "step " + what + (about_.empty() ? "" : " (" + about_ + ")");
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  // Lost progress only makes a later message poorer.
  if (write(progress_, line.data(), line.size()) < 0) return;
}

void Trial::Load() {
  if (library_ != nullptr) return;
  Step("loading the library");
  library_ = dlopen(options_.library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library_ == nullptr) {
    const char* words = dlerror();
    throw Failed{std::string("the dynamic linker refuses it: ") + (words ? words : "no reason")};
  }
}

const mfn_plugin& Trial::plugin() {
  if (plugin_ != nullptr) return *plugin_;
  Load();
  void* symbol = dlsym(library_, MFN_PLUGIN_ENTRY_SYMBOL);
  if (symbol == nullptr) {
    throw Failed{"it does not export " MFN_PLUGIN_ENTRY_SYMBOL
                 "; define it extern \"C\" with MFN_EXPORT, or use MFN_PLUGIN of plugin.hpp"};
  }
  Step("calling " MFN_PLUGIN_ENTRY_SYMBOL);
  plugin_ = reinterpret_cast<mfn_plugin_entry_fn>(symbol)(MFN_ABI_MINOR);
  if (plugin_ == nullptr) {
    throw Failed{"its entry answers NULL: it needs a host newer than ABI " +
                 std::to_string(MFN_ABI_MAJOR) + "." + std::to_string(MFN_ABI_MINOR) +
                 "; check it with the mfn-plugin-check of a newer SDK"};
  }
  return *plugin_;
}

const mfn_component& Trial::component() {
  for (uint64_t i = 0; i < plugin().n_components; ++i) {
    const mfn_component* found = plugin_->components[i];
    if (found != nullptr && found->type != nullptr && options_.component == found->type) {
      return *found;
    }
  }
  throw Failed{"it has no component \"" + options_.component + "\""};
}

const Schema& Trial::schema() {
  if (schema_) return *schema_;
  const char* text = component().config_schema;
  if (text == nullptr) throw Failed{"config_schema is NULL; it must be a JSON Schema (draft 7)"};
  try {
    return schema_.emplace(text);
  } catch (const std::exception& error) {
    throw Failed{std::string("config_schema: ") + error.what()};
  }
}

const std::string& Trial::config() {
  if (config_.empty()) {
    config_ = options_.config.empty() ? schema().Example().dump() : options_.config;
  }
  return config_;
}

}  // namespace mfn::conformance
