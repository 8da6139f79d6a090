// What holds between the parts of a configuration: names are unique, and those named exist.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/config_normalise.h"

namespace mfn {
namespace {

std::vector<std::string> NamesOf(const std::vector<InstanceConfig>& instances) {
  std::vector<std::string> names;
  for (const InstanceConfig& instance : instances) {
    if (!instance.name.empty()) names.push_back(instance.name);
  }
  return names;
}

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class ReferenceChecker {
 public:
  ReferenceChecker(const Config& config, Problems* problems)
      : config_(config),
        problems_(problems),
        connectors_(NamesOf(config.connectors)),
        publishers_(NamesOf(config.publishers)) {}

  void Check() {
    std::map<std::string, std::string> instances;
    CheckUnique(config_.connectors, "connectors", &instances);
    CheckUnique(config_.publishers, "publishers", &instances);
    std::map<std::string, std::string> pipelines;
    CheckUnique(config_.pipelines, "pipelines", &pipelines);
    for (size_t i = 0; i < config_.pipelines.size(); ++i) {
      CheckPipeline(config_.pipelines[i], ItemPath("pipelines", i));
    }
  }

 private:
  void Report(const std::string& path, std::string what) {
    problems_->push_back({.path = path, .what = std::move(what), .at_key = false, .at = {}});
  }

  template <class Item>
  void CheckUnique(const std::vector<Item>& items, absl::string_view list,
                   std::map<std::string, std::string>* seen) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i].name.empty()) continue;
      const std::string path = MemberPath(ItemPath(list, i), "name");
      const auto [first, added] = seen->emplace(items[i].name, path);
      if (added) continue;
      Report(path,
             absl::StrCat("\"", items[i].name, "\" is already the name of ",
                          absl::StripSuffix(first->second, ".name"), "; names are unique among ",
                          list == "pipelines" ? "pipelines" : "connectors and publishers"));
    }
  }

  void CheckPipeline(const PipelineConfig& pipeline, const std::string& path) {
    CheckName(pipeline.source, MemberPath(path, "source"), "connector", connectors_, publishers_);
    for (size_t i = 0; i < pipeline.sinks.size(); ++i) {
      CheckName(pipeline.sinks[i].publisher, ItemPath(MemberPath(path, "sinks"), i), "publisher",
                publishers_, connectors_);
    }
    CheckName(pipeline.dead_letter_publisher,
              MemberPath(MemberPath(path, "dead_letter"), "publisher"), "publisher", publishers_,
              connectors_);
  }

  // An empty name was reported before or means that none is wanted.
  void CheckName(const std::string& name, const std::string& path, absl::string_view kind,
                 const std::vector<std::string>& known, const std::vector<std::string>& others) {
    if (name.empty() || Has(known, name)) return;
    const absl::string_view other = kind == "connector" ? "publisher" : "connector";
    const std::string hint =
        Has(others, name) ? absl::StrCat(" (that is a ", other, ", not a ", kind, ")") : "";
    Report(path, absl::StrCat("unknown ", kind, " \"", name, "\"", hint, "; ", Known(name, known)));
  }

  const Config& config_;
  Problems* const problems_;
  const std::vector<std::string> connectors_;
  const std::vector<std::string> publishers_;
};

}  // namespace

void CheckReferences(const Config& config, Problems* problems) {
  ReferenceChecker(config, problems).Check();
}

}  // namespace mfn
