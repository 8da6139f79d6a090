// From YAML nodes to JSON values: typing by the core schema, interpolation, positions.
#include "server/base/yaml_document.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/interpolation.h"
#include "server/base/yaml_events.h"

namespace mfn {
namespace {

using nlohmann::json;

constexpr size_t kMaxTextBytes = size_t{4} << 20;
constexpr int kMaxValues = 100'000;
constexpr int kMaxDepth = 64;
constexpr absl::string_view kCoreTag = "tag:yaml.org,2002:";

// Bytes of the UTF-8 sequence at the start of the text; 0 if it is none.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what is beyond Unicode.
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

bool Utf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// What keeps the text from being read as YAML at all, if anything does.
std::optional<Problem> BadText(absl::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return Problem{.path = "",
                   .what = absl::StrCat(text.size(), " bytes, over the limit of ", kMaxTextBytes),
                   .at_key = false,
                   .at = Position{1, 1}};
  }
  Position at{1, 1};
  for (size_t i = 0; i < text.size();) {
    const size_t length = SequenceLength(text.substr(i));
    const unsigned char c = static_cast<unsigned char>(text[i]);
    const bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    if (length == 0 || control) {
      return Problem{.path = "",
                     .what = length == 0 ? "not UTF-8" : "a control character",
                     .at_key = false,
                     .at = at};
    }
    at.column += 1;
    if (c == '\n') at = {at.line + 1, 1};
    i += length;
  }
  return std::nullopt;
}

bool AllOf(absl::string_view text, absl::string_view set) {
  return !text.empty() && text.find_first_not_of(set) == absl::string_view::npos;
}

std::optional<json> Integer(absl::string_view text) {
  const bool hex = text.substr(0, 2) == "0x";
  const bool octal = text.substr(0, 2) == "0o";
  if (hex || octal) {
    const std::string digits(text.substr(2));
    if (!AllOf(digits, hex ? "0123456789abcdefABCDEF" : "01234567")) return std::nullopt;
    if (digits.size() > (hex ? 15 : 20)) return std::nullopt;
    return json(std::stoull(digits, nullptr, hex ? 16 : 8));
  }
  absl::string_view digits = text;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  if (!AllOf(digits, "0123456789")) return std::nullopt;
  int64_t value = 0;
  uint64_t large = 0;
  if (absl::SimpleAtoi(text, &value)) return json(value);
  if (absl::SimpleAtoi(text, &large)) return json(large);
  double beyond = 0;
  if (absl::SimpleAtod(text, &beyond) && std::isfinite(beyond)) return json(beyond);
  return std::nullopt;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool LooksLikeFloat(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const size_t exponent = text.find_first_of("eE");
  if (exponent != absl::string_view::npos) {
    absl::string_view digits = text.substr(exponent + 1);
    if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
    if (!AllOf(digits, "0123456789")) return false;
    text = text.substr(0, exponent);
  }
  const size_t point = text.find('.');
  const absl::string_view whole = text.substr(0, point);
  const absl::string_view part =
      point == absl::string_view::npos ? absl::string_view() : text.substr(point + 1);
  if (!whole.empty() && !AllOf(whole, "0123456789")) return false;
  if (!part.empty() && !AllOf(part, "0123456789")) return false;
  return !whole.empty() || !part.empty();
}

bool NotFinite(absl::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text == ".inf" || text == ".Inf" || text == ".INF" || text == ".nan" || text == ".NaN" ||
         text == ".NAN";
}

// The core schema's reading of a plain scalar; nullopt for a number that JSON cannot hold.
std::optional<json> TypePlain(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return json(nullptr);
  }
  if (text == "true" || text == "True" || text == "TRUE") return json(true);
  if (text == "false" || text == "False" || text == "FALSE") return json(false);
  if (NotFinite(text)) return std::nullopt;
  if (std::optional<json> integer = Integer(text)) return integer;
  if (LooksLikeFloat(text)) {
    double value = 0;
    if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) return std::nullopt;
    return json(value);
  }
  return json(text);
}

class Converter {
 public:
  Converter(absl::string_view base_dir, const EnvLookup& env, YamlDocument* document,
            Problems* problems)
      : base_dir_(base_dir), env_(env), document_(document), problems_(problems) {}

  json Convert(const YamlNode& node, const std::string& path, Position key, int depth) {
    document_->spots[path] = {
        .key = key, .value = node.at, .interpolated = false, .text = "", .reference = ""};
    if (++values_ > kMaxValues || depth > kMaxDepth) {
      // Aliases multiply; one report is enough.
      if (!exhausted_) {
        Report(path, absl::StrCat("more than ", kMaxValues, " values or ", kMaxDepth,
                                  " levels once aliases are expanded"));
      }
      exhausted_ = true;
      return nullptr;
    }
    switch (node.kind) {
      case YamlNode::Kind::kScalar:
        return Scalar(node, path);
      case YamlNode::Kind::kSequence:
        return Sequence(node, path, depth);
      case YamlNode::Kind::kMap:
        return Map(node, path, depth);
    }
    return nullptr;
  }

 private:
  void Report(const std::string& path, std::string what) {
    problems_->push_back({.path = path, .what = std::move(what), .at_key = false, .at = {}});
  }

  json Scalar(const YamlNode& node, const std::string& path) {
    absl::StatusOr<Interpolated> value = Interpolate(node.text, base_dir_, env_);
    if (!value.ok()) {
      Report(path, std::string(value.status().message()));
      return nullptr;
    }
    if (value->changed) {
      YamlSpot& spot = document_->spots[path];
      spot.interpolated = true;
      spot.text = value->text;
      spot.reference = node.text;
      if (!Utf8(value->text)) {
        Report(path, "the text that was put in is not UTF-8");
        return nullptr;
      }
    }
    const bool text_only = value->from_file || (value->changed && value->text.empty());
    return Typed(node, *value, path, text_only);
  }

  json Typed(const YamlNode& node, const Interpolated& value, const std::string& path,
             bool text_only) {
    if (node.tag == "!" || node.tag == absl::StrCat(kCoreTag, "str")) return value.text;
    const bool plain = node.tag == "?" || node.tag.empty();
    if (plain && text_only) return value.text;
    const std::optional<json> typed = TypePlain(value.text);
    if (!typed.has_value()) {
      Report(path, "a number that has no JSON form (infinite, not a number or too large)");
      return nullptr;
    }
    if (plain) return *typed;
    if ((node.tag == absl::StrCat(kCoreTag, "int") && typed->is_number_integer()) ||
        (node.tag == absl::StrCat(kCoreTag, "bool") && typed->is_boolean()) ||
        (node.tag == absl::StrCat(kCoreTag, "null") && typed->is_null())) {
      return *typed;
    }
    if (node.tag == absl::StrCat(kCoreTag, "float") && typed->is_number()) {
      return typed->get<double>();
    }
    Report(path, "a tag that the value does not fit or that has no JSON form");
    return nullptr;
  }

  json Sequence(const YamlNode& node, const std::string& path, int depth) {
    json list = json::array();
    for (size_t i = 0; i < node.items.size() && !exhausted_; ++i) {
      const YamlNode& item = *node.items[i];
      list.push_back(Convert(item, ItemPath(path, i), item.at, depth + 1));
    }
    return list;
  }

  json Map(const YamlNode& node, const std::string& path, int depth) {
    json object = json::object();
    for (const YamlNode::Member& member : node.members) {
      if (exhausted_) break;
      const YamlNode& key = *member.key;
      if (key.kind != YamlNode::Kind::kScalar) {
        problems_->push_back({path, "a key must be a scalar", false, key.at});
        continue;
      }
      const std::string member_path = MemberPath(path, key.text);
      if (object.contains(key.text)) {
        const int first = document_->spots[member_path].key.line;
        problems_->push_back({member_path,
                              absl::StrCat("the key stands twice, first in line ", first), true,
                              key.at});
        continue;
      }
      json value = Convert(*member.value, member_path, key.at, depth + 1);
      object[key.text] = std::move(value);
    }
    return object;
  }

  const absl::string_view base_dir_;
  const EnvLookup& env_;
  YamlDocument* const document_;
  Problems* const problems_;
  int values_ = 0;
  bool exhausted_ = false;
};

}  // namespace

YamlDocument ParseYaml(absl::string_view text, absl::string_view base_dir, const EnvLookup& env,
                       Problems* problems) {
  YamlDocument document;
  document.spots[""] = {
      .key = {1, 1}, .value = {1, 1}, .interpolated = false, .text = "", .reference = ""};
  if (std::optional<Problem> bad = BadText(text)) {
    problems->push_back(*std::move(bad));
    return document;
  }
  const std::shared_ptr<YamlNode> root = ReadYamlEvents(text, problems);
  if (root == nullptr) return document;
  document.value =
      Converter(base_dir, env, &document, problems).Convert(*root, "", root->at, /*depth=*/0);
  return document;
}

}  // namespace mfn
