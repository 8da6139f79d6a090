// Naming of fields, and suggestions by edit distance.
#include "server/base/config_problem.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mfn {
namespace {

// Longer words are not compared: nobody mistypes a paragraph.
constexpr size_t kLongestWord = 64;

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string Closest(const std::string& word, const std::vector<std::string>& alternatives) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : alternatives) {
    const size_t distance = EditDistance(word, candidate);
    if (distance >= best_distance || distance >= candidate.size()) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

}  // namespace

std::string MemberPath(absl::string_view parent, absl::string_view key) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '$';
  });
  if (!plain) {
    const std::string quoted = nlohmann::json(std::string(key))
                                   .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    return absl::StrCat(parent, "[", quoted, "]");
  }
  return absl::StrCat(parent, parent.empty() ? "" : ".", key);
}

std::string ItemPath(absl::string_view parent, size_t index) {
  return absl::StrCat(parent, "[", index, "]");
}

std::string Known(absl::string_view word, const std::vector<std::string>& alternatives) {
  if (alternatives.empty()) return "there is none";
  std::string text = absl::StrCat("known: ", absl::StrJoin(alternatives, ", "));
  if (word.size() > kLongestWord) return text;
  const std::string closest = Closest(absl::AsciiStrToLower(word), alternatives);
  if (!closest.empty()) absl::StrAppend(&text, " (did you mean \"", closest, "\"?)");
  return text;
}

}  // namespace mfn
