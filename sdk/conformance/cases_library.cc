// The shared object and its descriptor, before any instance exists.
#include <cctype>
#include <set>
#include <string>

#include "case.h"
#include "elf.h"
#include "process.h"
#include "trial.h"

namespace mfn::conformance {
namespace {

// What the linker itself may leave in every shared object.
const std::set<std::string> kLinkersOwn = {"_init", "_fini", "__bss_start", "_edata", "_end"};

bool IsEntry(const std::string& name) {
  const std::string prefix = "mfn_plugin_entry_v";
  return name.size() > prefix.size() && name.compare(0, prefix.size(), prefix) == 0 &&
         name.find_first_not_of("0123456789", prefix.size()) == std::string::npos;
}

void Exports(Trial& trial) {
  std::vector<std::string> others;
  bool has_entry = false;
  for (const std::string& name : ExportedSymbols(trial.options().library)) {
    has_entry = has_entry || name == MFN_PLUGIN_ENTRY_SYMBOL;
    if (!IsEntry(name) && kLinkersOwn.count(name) == 0) others.push_back(name);
  }
  if (!has_entry) {
    throw Failed{"it does not export " MFN_PLUGIN_ENTRY_SYMBOL
                 "; define it extern \"C\" with MFN_EXPORT, or use MFN_PLUGIN of plugin.hpp"};
  }
  if (others.empty()) return;
  std::string names;
  for (size_t i = 0; i < others.size() && i < 5; ++i) names += (i == 0 ? "" : ", ") + others[i];
  throw Failed{"it exports " + std::to_string(others.size()) + " symbols beside its entry (" +
               names + (others.size() > 5 ? ", ..." : "") +
               "), which can take the place of the host's; build it with add_mfn_plugin, or with "
               "-fvisibility=hidden -Wl,--version-script=plugin.map -Wl,--exclude-libs,ALL"};
}

void Loads(Trial& trial) {
  const ProcessState before = ProcessState::Now();
  trial.Load();
  SettledThreads(before.threads);
  // A library may keep descriptors of its own; what is the host's may not change.
  const std::string changed = before.Difference(ProcessState::Now());
  if (!changed.empty()) throw Failed{"loading it has side effects: " + changed};
}

void Entry(Trial& trial) {
  trial.Load();
  const ProcessState before = ProcessState::Now();
  const mfn_plugin* first = &trial.plugin();
  SettledThreads(before.threads);
  const std::string changed = before.Difference(ProcessState::Now());
  if (!changed.empty()) throw Failed{"the entry has side effects: " + changed};
  // A trial asks once; another one of the same library asks again.
  Trial again(trial.options(), -1);
  if (&again.plugin() != first) {
    throw Failed{"the entry answers another pointer the second time; return static data"};
  }
}

void NeedText(const char* text, const std::string& what) {
  if (text == nullptr || *text == '\0') throw Failed{what + " is missing; it is required"};
}

void NeedSize(uint32_t size, size_t expected, const std::string& what) {
  if (size >= expected && size < 4096) return;
  throw Failed{what + ": struct_size is " + std::to_string(size) + ", but ABI 1.0 has " +
               std::to_string(expected) + " bytes; set it to sizeof the struct"};
}

void CheckRoles(const mfn_component& component, const std::string& what) {
  if (component.source == nullptr && component.sink == nullptr && component.executor == nullptr) {
    throw Failed{what + ": source, sink and executor are all NULL; it needs one of them"};
  }
  if (const mfn_source* source = component.source; source != nullptr) {
    NeedSize(source->struct_size, sizeof(mfn_source), what + " source");
    if (source->read == nullptr) throw Failed{what + ": source.read is NULL"};
    if (source->ack == nullptr) throw Failed{what + ": source.ack is NULL"};
  }
  if (const mfn_sink* sink = component.sink; sink != nullptr) {
    NeedSize(sink->struct_size, sizeof(mfn_sink), what + " sink");
    if (sink->write == nullptr) throw Failed{what + ": sink.write is NULL"};
    if ((component.flags & MFN_DEFERRED) != 0 && sink->flush == nullptr) {
      throw Failed{what + ": sink.flush is NULL, but MFN_DEFERRED is set"};
    }
  }
  if (const mfn_executor* executor = component.executor; executor != nullptr) {
    NeedSize(executor->struct_size, sizeof(mfn_executor), what + " executor");
    if (executor->execute == nullptr) throw Failed{what + ": executor.execute is NULL"};
  }
}

void CheckType(const char* type, const std::string& what) {
  NeedText(type, what + ": type");
  for (const char* c = type; *c != '\0'; ++c) {
    if (std::isalnum(static_cast<unsigned char>(*c)) || *c == '-' || *c == '_' || *c == '.')
      continue;
    throw Failed{what + ": the type \"" + type +
                 "\" has other characters than letters, digits, -, _ "
                 "and ., so no configuration can name it"};
  }
}

void Descriptor(Trial& trial) {
  const mfn_plugin& plugin = trial.plugin();
  NeedSize(plugin.struct_size, sizeof(mfn_plugin), "mfn_plugin");
  NeedText(plugin.id, "mfn_plugin.id");
  if (std::string(plugin.id).find('.') == std::string::npos) {
    throw Failed{std::string("the id \"") + plugin.id +
                 "\" is not in reverse DNS form; use a name that nobody else can have, like "
                 "org.example.kafka"};
  }
  NeedText(plugin.version, "mfn_plugin.version");
  if (plugin.abi_minor > MFN_ABI_MINOR) {
    throw Failed{"abi_minor is " + std::to_string(plugin.abi_minor) +
                 "; set it to MFN_ABI_MINOR of the header it is built with"};
  }
  if (plugin.components == nullptr || plugin.n_components == 0 || plugin.n_components > 1024) {
    throw Failed{"it lists " + std::to_string(plugin.n_components) + " components; 1 to 1024"};
  }
  std::set<std::string> types;
  for (uint64_t i = 0; i < plugin.n_components; ++i) {
    const mfn_component* component = plugin.components[i];
    std::string what = "component #" + std::to_string(i);
    if (component == nullptr) throw Failed{what + " is NULL"};
    NeedSize(component->struct_size, sizeof(mfn_component), what);
    CheckType(component->type, what);
    what = std::string("component \"") + component->type + "\"";
    NeedText(component->summary, what + ": summary");
    if (component->create == nullptr) throw Failed{what + ": create is NULL"};
    if (component->destroy == nullptr) throw Failed{what + ": destroy is NULL"};
    if (!types.insert(component->type).second) throw Failed{what + " is listed twice"};
    CheckRoles(*component, what);
  }
}

void List(Trial& trial) {
  Descriptor(trial);
  Json types = Json::array();
  for (uint64_t i = 0; i < trial.plugin().n_components; ++i) {
    types.push_back(trial.plugin().components[i]->type);
  }
  throw Skipped{types.dump()};
}

}  // namespace

Case ListCase() { return {"components", "", false, List}; }

std::vector<Case> LibraryCases() {
  return {
      {"exports", "only the entry is exported", false, Exports},
      {"loads", "every symbol is found; loading changes nothing in the process", false, Loads},
      {"entry", "the entry returns the same static data each time, without side effects", false,
       Entry},
      {"descriptor", "sizes, names, tables: all that is required is there", false, Descriptor},
  };
}

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (const auto& some : {LibraryCases(), ConfigCases(), LifeCases(), CallCases(), SourceCases(),
                           SinkCases(), ExecutorCases()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace mfn::conformance
