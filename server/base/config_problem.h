// What the stages of the configuration loader tell each other about faults, and how a field is
// named. Values only; pure functions.
#ifndef MFN_SERVER_BASE_CONFIG_PROBLEM_H_
#define MFN_SERVER_BASE_CONFIG_PROBLEM_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mfn {

// From 1; line 0: nowhere in a text.
struct Position {
  int line = 0;
  int column = 0;
};

struct Problem {
  std::string path;  // "connectors[0].timeout_ms"; empty: the whole document
  std::string what;
  bool at_key = false;         // the fault is the key, not its value
  std::optional<Position> at;  // where the path does not tell it
};

using Problems = std::vector<Problem>;

// "parent.key" and "parent[3]". A key that is no plain word is quoted, so that paths are unique.
std::string MemberPath(absl::string_view parent, absl::string_view key);
std::string ItemPath(absl::string_view parent, size_t index);

// `known: a, b, c`, and ` (did you mean "b"?)` if one of them is close to the word.
std::string Known(absl::string_view word, const std::vector<std::string>& alternatives);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_PROBLEM_H_
