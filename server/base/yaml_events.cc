// yaml-cpp's event handler that builds the tree.
#include "server/base/yaml_events.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <exception>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mfn {
namespace {

using NodePtr = std::shared_ptr<YamlNode>;

constexpr size_t kMaxDepth = 64;

Position At(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Thrown and caught in this file: the only way out of yaml-cpp's parser.
struct Stop {
  Position at;
  std::string what;
};

class TreeBuilder : public YAML::EventHandler {
 public:
  NodePtr root() const { return root_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    NodePtr node = Make(YamlNode::Kind::kScalar, mark, "?", anchor);
    // The mark of a value that is left out is that of whatever follows it.
    if (!open_.empty() && open_.back().key != nullptr) node->at = open_.back().key->at;
    Place(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{At(mark), "alias without an anchor"};
    for (const Frame& frame : open_) {
      if (frame.node == found->second) throw Stop{At(mark), "the alias stands inside its anchor"};
    }
    Place(found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    NodePtr node = Make(YamlNode::Kind::kScalar, mark, tag, anchor);
    node->text = value;
    Place(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Make(YamlNode::Kind::kSequence, mark, tag, anchor), mark);
  }
  void OnSequenceEnd() override { open_.pop_back(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Make(YamlNode::Kind::kMap, mark, tag, anchor), mark);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Frame {
    NodePtr node;
    NodePtr key;  // of a map: read, its value not yet
  };

  NodePtr Make(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
               YAML::anchor_t anchor) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->at = At(mark);
    node->tag = tag;
    if (anchor != 0) anchors_[anchor] = node;
    return node;
  }

  void Open(const NodePtr& node, const YAML::Mark& mark) {
    if (open_.size() >= kMaxDepth) {
      throw Stop{At(mark), absl::StrCat("nested deeper than ", kMaxDepth, " levels")};
    }
    Place(node);
    open_.push_back({node, nullptr});
  }

  void Place(NodePtr node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = open_.back();
    if (frame.node->kind == YamlNode::Kind::kSequence) {
      frame.node->items.push_back(std::move(node));
    } else if (frame.key == nullptr) {
      frame.key = std::move(node);
    } else {
      frame.node->members.push_back({std::move(frame.key), std::move(node)});
      frame.key = nullptr;
    }
  }

  NodePtr root_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, NodePtr> anchors_;
};

class SecondDocument : public TreeBuilder {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    throw Stop{At(mark), "a second document begins here; the configuration is one"};
  }
};

NodePtr Fail(Problems* problems, Position at, std::string what) {
  problems->push_back({.path = "", .what = std::move(what), .at_key = false, .at = at});
  return nullptr;
}

}  // namespace

std::shared_ptr<YamlNode> ReadYamlEvents(absl::string_view text, Problems* problems) {
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return nullptr;
    SecondDocument second;
    parser.HandleNextDocument(second);
    return builder.root();
  } catch (const Stop& stop) {
    return Fail(problems, stop.at, stop.what);
  } catch (const YAML::Exception& error) {
    // Without a mark yaml-cpp says -1.
    const Position at = error.mark.line < 0 ? Position{1, 1} : At(error.mark);
    return Fail(problems, at, absl::StrCat("not YAML: ", error.msg));
  } catch (const std::exception& error) {
    return Fail(problems, {1, 1}, absl::StrCat("not YAML: ", error.what()));
  }
}

}  // namespace mfn
