// The stages one after another, and the report of what they found.
#include "server/base/config_loader.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/base/config_fields.h"
#include "server/base/config_normalise.h"
#include "server/base/config_problem.h"
#include "server/base/config_schema.h"
#include "server/base/json.h"
#include "server/base/secret_references.h"
#include "server/base/yaml_document.h"

namespace mfn {
namespace {

using nlohmann::json;

// A report longer than this helps nobody.
constexpr size_t kMaxProblems = 100;

// The spot of a path, or of the nearest part of the document that is there.
Position Locate(const YamlDocument& document, std::string path, bool at_key) {
  for (;;) {
    const auto found = document.spots.find(path);
    if (found != document.spots.end()) return at_key ? found->second.key : found->second.value;
    const size_t cut = path.find_last_of(".[");
    path = cut == std::string::npos ? "" : path.substr(0, cut);
  }
}

std::string OneLine(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\n", " "}, {"\r", " "}});
}

// A later stage stumbles over what an earlier one refused: of two problems with one field, those of
// the first stage count.
void Append(Problems stage, Problems* all) {
  std::set<std::string> reported;
  for (const Problem& problem : *all) reported.insert(problem.path);
  for (Problem& problem : stage) {
    if (!problem.path.empty() && reported.contains(problem.path)) continue;
    all->push_back(std::move(problem));
  }
}

absl::Status Report(const std::vector<std::string>& lines) {
  std::vector<std::string> shown(
      lines.begin(),
      lines.begin() + static_cast<std::ptrdiff_t>(std::min(lines.size(), kMaxProblems)));
  if (lines.size() > shown.size()) {
    shown.push_back(absl::StrCat("and ", lines.size() - shown.size(), " more"));
  }
  return absl::InvalidArgumentError(absl::StrJoin(shown, "\n"));
}

absl::Status ReportInFile(const Problems& problems, const YamlDocument& document,
                          absl::string_view name) {
  std::vector<std::tuple<int, int, std::string>> located;
  for (const Problem& problem : problems) {
    const Position at =
        problem.at.has_value() ? *problem.at : Locate(document, problem.path, problem.at_key);
    const std::string where =
        at.line == 0 ? std::string(name) : absl::StrCat(name, ":", at.line, ":", at.column);
    located.emplace_back(at.line, at.column,
                         OneLine(absl::StrCat(where, ": ", problem.path,
                                              problem.path.empty() ? "" : ": ", problem.what)));
  }
  std::stable_sort(located.begin(), located.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  std::vector<std::string> lines;
  for (auto& [line, column, text] : located) lines.push_back(std::move(text));
  return Report(lines);
}

template <class Item, class Normalise>
std::vector<Item> NormaliseList(const YamlDocument& document, const char* key,
                                const Normalise& normalise) {
  std::vector<Item> items;
  const json* list = FindMember(document.value, key);
  for (size_t i = 0; list != nullptr && list->is_array() && i < list->size(); ++i) {
    const std::string path = ItemPath(key, i);
    Item item = normalise((*list)[i], path);
    item.line = Locate(document, path, /*at_key=*/false).line;
    items.push_back(std::move(item));
  }
  return items;
}

void KeepReferences(const YamlDocument& document, absl::string_view base_dir, const char* key,
                    std::vector<InstanceConfig>* instances) {
  const json* list = FindMember(document.value, key);
  for (size_t i = 0; i < instances->size(); ++i) {
    const json* data = FindMember((*list)[i], "config_data");
    if (data == nullptr) continue;
    const std::string path = MemberPath(ItemPath(key, i), "config_data");
    (*instances)[i].references = FindReferences(document, path, *data, base_dir);
  }
}

Config NormaliseDocument(const YamlDocument& document, absl::string_view base_dir,
                         const EnvLookup& env, const Quotable& quotable, Problems* problems) {
  const auto instance = [&](InstanceRole role) {
    return [role, problems](const json& value, const std::string& path) {
      return NormaliseInstance(value, role, path, problems);
    };
  };
  Config config;
  config.server = NormaliseServer(ObjectMember(document.value, "server"), base_dir, env, problems);
  config.connectors =
      NormaliseList<InstanceConfig>(document, "connectors", instance(InstanceRole::kConnector));
  config.publishers =
      NormaliseList<InstanceConfig>(document, "publishers", instance(InstanceRole::kPublisher));
  KeepReferences(document, base_dir, "connectors", &config.connectors);
  KeepReferences(document, base_dir, "publishers", &config.publishers);
  config.pipelines = NormaliseList<PipelineConfig>(
      document, "pipelines", [&](const json& value, const std::string& path) {
        return NormalisePipeline(value, path, problems);
      });
  CheckReferences(config, quotable, problems);
  return config;
}

absl::StatusOr<Config> Load(absl::string_view text, absl::string_view name,
                            absl::string_view base_dir, const EnvLookup& env) {
  Problems problems;
  YamlDocument document = ParseYaml(text, base_dir, env, &problems);
  const auto whole = [](const Problem& problem) { return problem.path.empty(); };
  if (std::any_of(problems.begin(), problems.end(), whole)) {
    return ReportInFile(problems, document, name);
  }
  const auto text_of = [&](const std::string& path) -> const std::string* {
    const auto spot = document.spots.find(path);
    const bool put_in = spot != document.spots.end() && spot->second.interpolated;
    return put_in ? &spot->second.text : nullptr;
  };
  RestoreText(text_of, &document.value);
  Problems of_schema;
  const Quotable quotable = [&](const std::string& path) { return text_of(path) == nullptr; };
  CheckAgainstSchema(document.value, quotable, &of_schema);
  Append(std::move(of_schema), &problems);
  Problems of_meaning;
  Config config = NormaliseDocument(document, base_dir, env, quotable, &of_meaning);
  Append(std::move(of_meaning), &problems);
  if (!problems.empty()) return ReportInFile(problems, document, name);
  return config;
}

// Wraps one item of a list as a whole configuration, so that the one schema applies.
template <class Item, class Normalise>
absl::StatusOr<Item> ParseItem(absl::string_view text, const char* list,
                               const Normalise& normalise) {
  absl::StatusOr<json> value = ParseJson(text);
  if (!value.ok()) return value.status();
  const std::string path = ItemPath(list, 0);
  const json document = {{list, json::array({*value})}};
  Problems problems;
  CheckAgainstSchema(
      document, [](const std::string&) { return true; }, &problems);
  Problems of_meaning;
  Item item = normalise(*value, path, &of_meaning);
  Append(std::move(of_meaning), &problems);
  if (problems.empty()) return item;
  std::vector<std::string> lines;
  for (const Problem& problem : problems) {
    const absl::string_view whole = problem.path;
    absl::string_view field = absl::StripPrefix(whole, path);
    field = absl::StripPrefix(field, ".");
    lines.push_back(OneLine(absl::StrCat(field, field.empty() ? "" : ": ",
                                         absl::StrReplaceAll(problem.what, {{path + ".", ""}}))));
  }
  return Report(lines);
}

}  // namespace

EnvLookup ProcessEnv() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

absl::StatusOr<Config> LoadConfigFile(const std::string& path, const EnvLookup& env) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a folder, expected a file"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int code = errno;
    return absl::ErrnoToStatus(code, absl::StrCat(path, ": the configuration cannot be read"));
  }
  // One byte over the loader's own bound is enough to be refused there.
  constexpr size_t kEnough = (size_t{4} << 20) + 1;
  std::string text(kEnough, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const std::filesystem::path folder = std::filesystem::absolute(path, error).parent_path();
  return Load(text, path, folder.string(), env);
}

absl::StatusOr<Config> LoadConfigText(absl::string_view text, absl::string_view name,
                                      absl::string_view base_dir, const EnvLookup& env) {
  return Load(text, name, base_dir, env);
}

absl::StatusOr<InstanceConfig> ParseInstanceJson(absl::string_view text, InstanceRole role) {
  return ParseItem<InstanceConfig>(
      text, role == InstanceRole::kConnector ? "connectors" : "publishers",
      [role](const json& value, const std::string& path, Problems* problems) {
        return NormaliseInstance(value, role, path, problems);
      });
}

absl::StatusOr<PipelineConfig> ParsePipelineJson(absl::string_view text) {
  return ParseItem<PipelineConfig>(text, "pipelines", NormalisePipeline);
}

}  // namespace mfn
