// The bounded JSON parser: a SAX handler that builds the value and stops at the first excess. The
// library's SAX parser keeps its own stack on the heap, so depth costs no native stack.
#include "server/base/json.h"

#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace mfn {
namespace {

using nlohmann::json;

// Reads the text and tells how far the parser has come, which SAX events do not carry.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// What the library found wrong, without the quoted input ("; last read: ...") and its own prefix.
std::string Reason(absl::string_view what) {
  const size_t dash = what.find(" - ");
  if (dash == absl::string_view::npos) return "a number is out of range";
  what.remove_prefix(dash + 3);
  const size_t read = what.find("; last read:");
  std::string reason(what.substr(0, read));
  const size_t expected = what.rfind("; expected ");
  if (read != absl::string_view::npos && expected != absl::string_view::npos && expected > read) {
    absl::StrAppend(&reason, what.substr(expected));
  }
  return reason;
}

class Builder {
 public:
  Builder(int max_depth, const char* begin, const char* const* reached)
      : max_depth_(max_depth), begin_(begin), reached_(reached) {}

  bool null() { return Put(nullptr); }
  bool boolean(bool value) { return Put(value); }
  bool number_integer(int64_t value) { return Put(value); }
  bool number_unsigned(uint64_t value) { return Put(value); }
  bool number_float(double value, const std::string&) { return Put(value); }
  bool string(std::string& value) { return Put(std::move(value)); }
  bool binary(json::binary_t&) { return false; }  // not in JSON text
  bool start_object(size_t) { return Open(json::object()); }
  bool end_object() { return Close(); }
  bool start_array(size_t) { return Open(json::array()); }
  bool end_array() { return Close(); }

  bool key(std::string& name) {
    auto [member, added] = open_.back()->get_ref<json::object_t&>().emplace(name, nullptr);
    if (!added) {
      return Fail(absl::StrCat("the object has this key twice (it ends at byte ", Offset(), ")"));
    }
    member_ = &member->second;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception& error) {
    // The position counts bytes read, the offending one included.
    error_ = absl::StrCat("byte ", position == 0 ? 0 : position - 1, ": ", Reason(error.what()));
    return false;
  }

  const std::string& error() const { return error_; }
  json Take() { return std::move(root_); }

 private:
  size_t Offset() const {
    const size_t read = static_cast<size_t>(*reached_ - begin_);
    return read == 0 ? 0 : read - 1;
  }

  bool Fail(absl::string_view reason) {
    error_ = absl::StrCat("byte ", Offset(), ": ", reason);
    return false;
  }

  json* Place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json* parent = open_.back();
    if (parent->is_array()) {
      parent->push_back(std::move(value));
      return &parent->back();
    }
    *member_ = std::move(value);
    return member_;
  }

  bool Put(json value) {
    Place(std::move(value));
    return true;
  }

  bool Open(json value) {
    if (open_.size() >= static_cast<size_t>(max_depth_)) {
      return Fail(absl::StrCat("nested deeper than ", max_depth_, " levels"));
    }
    open_.push_back(Place(std::move(value)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const int max_depth_;
  const char* const begin_;
  const char* const* const reached_;
  json root_;
  std::vector<json*> open_;  // containers being filled; a container grows only when it is the last
  json* member_ = nullptr;   // where the next value of the open object goes
  std::string error_;
};

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "JSON: ", text.size(), " bytes, over the limit of ", limits.max_bytes, " bytes"));
  }
  const char* reached = text.data();
  Builder builder(limits.max_depth, text.data(), &reached);
  const bool parsed =
      json::sax_parse(CountingIterator(text.data(), &reached),
                      CountingIterator(text.data() + text.size(), &reached), &builder);
  if (!parsed) return absl::InvalidArgumentError(absl::StrCat("JSON: ", builder.error()));
  return builder.Take();
}

}  // namespace mfn
