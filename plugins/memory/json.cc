// Finds the ends of values; only strings are decoded.
#include "json.h"

#include <cctype>
#include <cstdint>

namespace mfn::memory {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool Take(char c) {
    SkipSpace();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // The text of the next value; empty if there is none. Brackets are counted, not followed, so
  // depth costs no stack.
  std::string_view Value() {
    SkipSpace();
    size_t i = 0;
    int depth = 0;
    bool in_string = false;
    for (; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (in_string) {
        if (c == '\\') ++i;
        if (c != '"') continue;
        in_string = false;
      } else if (c == '"') {
        in_string = true;
        continue;
      } else if (c == '{' || c == '[') {
        ++depth;
        continue;
      } else if (c == '}' || c == ']') {
        if (depth == 0) break;
        --depth;
      } else if (depth > 0 || !(c == ',' || c == ':' || IsSpace(c))) {
        continue;
      } else {
        break;
      }
      if (depth == 0) {
        ++i;
        break;
      }
    }
    i = i < rest_.size() ? i : rest_.size();
    const std::string_view value = rest_.substr(0, i);
    rest_.remove_prefix(i);
    return value;
  }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void SkipSpace() {
    while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

void AppendUtf8(uint32_t code, std::string* out) {
  const auto put = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

// Four hex digits at `at`; nothing if they are not there.
std::optional<uint32_t> Hex4(std::string_view text, size_t at) {
  if (at + 4 > text.size()) return std::nullopt;
  uint32_t code = 0;
  for (const char c : text.substr(at, 4)) {
    if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
    code = code * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return code;
}

// Decodes \uXXXX (and a surrogate pair) whose 'u' is at *at; moves *at to its last character.
bool AppendEscapedUnicode(std::string_view text, size_t* at, std::string* out) {
  std::optional<uint32_t> code = Hex4(text, *at + 1);
  if (!code) return false;
  *at += 4;
  if (*code >= 0xD800 && *code < 0xDC00 && text.substr(*at + 1, 2) == "\\u") {
    const std::optional<uint32_t> low = Hex4(text, *at + 3);
    if (!low || *low < 0xDC00 || *low > 0xDFFF) return false;
    *at += 6;
    code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
  }
  AppendUtf8(*code, out);
  return true;
}

}  // namespace

std::optional<std::map<std::string, std::string_view>> Members(std::string_view json) {
  Reader reader(json);
  if (!reader.Take('{')) return std::nullopt;
  std::map<std::string, std::string_view> members;
  if (reader.Take('}')) return members;
  do {
    const std::optional<std::string> name = String(reader.Value());
    if (!name || !reader.Take(':')) return std::nullopt;
    const std::string_view value = reader.Value();
    if (value.empty()) return std::nullopt;
    members[*name] = value;
  } while (reader.Take(','));
  return reader.Take('}') ? std::optional(members) : std::nullopt;
}

std::optional<std::vector<std::string_view>> Elements(std::string_view json) {
  Reader reader(json);
  if (!reader.Take('[')) return std::nullopt;
  std::vector<std::string_view> elements;
  if (reader.Take(']')) return elements;
  do {
    elements.push_back(reader.Value());
    if (elements.back().empty()) return std::nullopt;
  } while (reader.Take(','));
  return reader.Take(']') ? std::optional(elements) : std::nullopt;
}

std::optional<std::string> String(std::string_view json) {
  if (json.size() < 2 || json.front() != '"' || json.back() != '"') return std::nullopt;
  const std::string_view text = json.substr(1, json.size() - 2);
  static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
  std::string value;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      value.push_back(text[i]);
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const size_t simple = kFrom.find(text[i]);
    if (simple != std::string_view::npos) {
      value.push_back(kTo[simple]);
    } else if (text[i] != 'u' || !AppendEscapedUnicode(text, &i, &value)) {
      return std::nullopt;
    }
  }
  return value;
}

}  // namespace mfn::memory
