// Cuts a payload into items without parsing it.

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/pipeline/json_reader.h"

namespace mfn::pipeline {
namespace {

class Splitter {
 public:
  Splitter(absl::string_view text, const CodecLimits& limits) : text_(text), limits_(limits) {}

  SplitPayload Run() {
    result_.list = !text_.empty() && text_[0] == '[';
    size_t at = 0;
    while (at < text_.size() && result_.status.ok() && !closed_) at = Next(at);
    if (!result_.status.ok()) return std::move(result_);
    if (in_string_ || depth_ > 0) {
      return Fail("JSON_TRUNCATED",
                  absl::StrCat("the JSON text ends after ", text_.size(), " bytes within a ",
                               in_string_ ? "string" : "list or object"));
    }
    if (!result_.list) {
      result_.items = {text_};
    } else if (!absl::StripAsciiWhitespace(text_.substr(at)).empty()) {
      return Fail("NOT_JSON", absl::StrCat("text follows the end of the list at byte ", at));
    } else if (result_.items.empty()) {
      return Fail("NOT_A_REQUEST", "the list holds no request");
    }
    return std::move(result_);
  }

 private:
  SplitPayload Fail(absl::string_view reason, std::string message) {
    SplitPayload failed;
    failed.status = FieldError("", reason, message);
    return failed;
  }

  // Returns where to go on.
  size_t Next(size_t at) {
    switch (text_[at]) {
      case '"':
        return SkipString(at + 1);
      case '[':
      case '{':
        if (++depth_ > limits_.max_depth) {
          result_ = Fail("JSON_TOO_DEEP", absl::StrCat("the JSON text is nested more than ",
                                                       limits_.max_depth, " deep at byte ", at));
        } else if (depth_ == 1 && result_.list) {
          item_begin_ = at + 1;
        }
        return at + 1;
      case ']':
      case '}':
        if (--depth_ == 0 && result_.list) EndItem(at, true);
        return at + 1;
      case ',':
        if (depth_ == 1 && result_.list) EndItem(at, false);
        return at + 1;
      default:
        return at + 1;
    }
  }

  size_t SkipString(size_t at) {
    in_string_ = true;
    while (at < text_.size()) {
      const void* quote = std::memchr(text_.data() + at, '"', text_.size() - at);
      if (quote == nullptr) return text_.size();
      const size_t end = static_cast<const char*>(quote) - text_.data();
      size_t backslashes = 0;
      while (backslashes < end - at && text_[end - 1 - backslashes] == '\\') ++backslashes;
      at = end + 1;
      if (backslashes % 2 == 1) continue;
      in_string_ = false;
      return at;
    }
    return at;
  }

  void EndItem(size_t end, bool last) {
    const absl::string_view item =
        absl::StripAsciiWhitespace(text_.substr(item_begin_, end - item_begin_));
    item_begin_ = end + 1;
    closed_ = last;
    if (last && item.empty() && result_.items.empty()) return;
    result_.items.push_back(item);
    if (result_.items.size() > limits_.max_items) {
      result_ = Fail("LIST_TOO_LONG",
                     absl::StrCat("the list holds more than ", limits_.max_items, " requests"));
    }
  }

  const absl::string_view text_;
  const CodecLimits& limits_;
  SplitPayload result_;
  int depth_ = 0;
  size_t item_begin_ = 0;
  bool in_string_ = false, closed_ = false;
};

}  // namespace

SplitPayload Split(absl::string_view payload, const CodecLimits& limits) {
  return Splitter(absl::StripAsciiWhitespace(payload), limits).Run();
}

}  // namespace mfn::pipeline
