// What holds between the parts of a configuration: names are unique, and those named exist.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/config_normalise.h"

namespace mfn {
namespace {

struct Names {
  std::vector<std::string> all;
  std::vector<std::string> shown;  // those that may be quoted
};

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class ReferenceChecker {
 public:
  ReferenceChecker(const Config& config, const Quotable& quotable, Problems* problems)
      : config_(config),
        quotable_(quotable),
        problems_(problems),
        connectors_(NamesOf(config.connectors, "connectors")),
        publishers_(NamesOf(config.publishers, "publishers")) {}

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
  Names NamesOf(const std::vector<InstanceConfig>& instances, absl::string_view list) const {
    Names names;
    for (size_t i = 0; i < instances.size(); ++i) {
      const std::string& name = instances[i].name;
      if (name.empty()) continue;
      names.all.push_back(name);
      if (quotable_(MemberPath(ItemPath(list, i), "name"))) names.shown.push_back(name);
    }
    return names;
  }

  // The name in quotes, with a blank before it; nothing if it may be a secret.
  std::string Quoted(const std::string& name, const std::string& path) const {
    return quotable_(path) ? absl::StrCat(" \"", name, "\"") : "";
  }

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
             absl::StrCat("the name", Quoted(items[i].name, path), " is already that of ",
                          absl::StripSuffix(first->second, ".name"), "; names are unique among ",
                          list == "pipelines" ? "pipelines" : "connectors and publishers"));
    }
  }

  void CheckPipeline(const PipelineConfig& pipeline, const std::string& path) {
    CheckName(pipeline.source, MemberPath(path, "source"), "connector", connectors_, publishers_);
    for (size_t i = 0; i < pipeline.sinks.size(); ++i) {
      // "- name" or "- publisher: name".
      const std::string item = ItemPath(MemberPath(path, "sinks"), i);
      const std::string member = MemberPath(item, "publisher");
      CheckName(pipeline.sinks[i].publisher, quotable_(member) ? item : member, "publisher",
                publishers_, connectors_);
    }
    CheckName(pipeline.dead_letter_publisher,
              MemberPath(MemberPath(path, "dead_letter"), "publisher"), "publisher", publishers_,
              connectors_);
    CheckName(pipeline.error_publisher, MemberPath(path, "error_publisher"), "publisher",
              publishers_, connectors_);
  }

  // An empty name was reported before or means that none is wanted.
  void CheckName(const std::string& name, const std::string& path, absl::string_view kind,
                 const Names& known, const Names& others) {
    if (name.empty() || Has(known.all, name)) return;
    const absl::string_view other = kind == "connector" ? "publisher" : "connector";
    const std::string hint =
        Has(others.all, name) ? absl::StrCat(" (that is a ", other, ", not a ", kind, ")") : "";
    const std::string shown = quotable_(path) ? name : "";
    Report(path, absl::StrCat("unknown ", kind, Quoted(name, path), hint, "; ",
                              Known(shown, known.shown)));
  }

  const Config& config_;
  const Quotable& quotable_;
  Problems* const problems_;
  const Names connectors_;
  const Names publishers_;
};

}  // namespace

void CheckReferences(const Config& config, const Quotable& quotable, Problems* problems) {
  ReferenceChecker(config, quotable, problems).Check();
}

}  // namespace mfn
