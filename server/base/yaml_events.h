// The tree of a YAML text before any meaning is given to it: yaml-cpp's events, kept with their
// positions. yaml-cpp and its exceptions stay behind this header.
#ifndef MFN_SERVER_BASE_YAML_EVENTS_H_
#define MFN_SERVER_BASE_YAML_EVENTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/config_problem.h"

namespace mfn {

struct YamlNode {
  enum class Kind { kScalar, kSequence, kMap };
  struct Member;

  Kind kind = Kind::kScalar;
  Position at;
  std::string tag;   // "?" plain, "!" quoted, else the explicit tag
  std::string text;  // of a scalar
  std::vector<std::shared_ptr<YamlNode>> items;
  std::vector<Member> members;
};

struct YamlNode::Member {
  std::shared_ptr<YamlNode> key;
  std::shared_ptr<YamlNode> value;
};

// The tree of the text's one document; null when it has no content, or when it is not YAML, which
// *problems then tells. An alias is the node itself, so the tree may share parts but has no cycle.
// Nesting is bounded at 64 levels.
std::shared_ptr<YamlNode> ReadYamlEvents(absl::string_view text, Problems* problems);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_YAML_EVENTS_H_
