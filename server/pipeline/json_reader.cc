#include "server/pipeline/json_reader.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mfn::pipeline {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxWarnings = 20;
constexpr size_t kMaxNameInText = 64;

using Scalar = std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string>;

// True if the value is a whole number within [min, max], which are exact as long double.
template <typename Int>
bool ToInteger(const Scalar& value, Int* out) {
  constexpr auto kMin = std::numeric_limits<Int>::min();
  constexpr auto kMax = std::numeric_limits<Int>::max();
  if (const auto* text = std::get_if<std::string>(&value)) return absl::SimpleAtoi(*text, out);
  long double number = 0;
  if (const auto* i = std::get_if<int64_t>(&value)) {
    number = *i;
  } else if (const auto* u = std::get_if<uint64_t>(&value)) {
    number = *u;
  } else if (const auto* d = std::get_if<double>(&value)) {
    if (std::trunc(*d) != *d) return false;
    number = *d;
  } else {
    return false;
  }
  if (!(number >= kMin && number <= kMax)) return false;
  *out = static_cast<Int>(number);
  return true;
}

bool ToDouble(const Scalar& value, double* out) {
  if (const auto* d = std::get_if<double>(&value)) {
    *out = *d;
  } else if (const auto* i = std::get_if<int64_t>(&value)) {
    *out = static_cast<double>(*i);
  } else if (const auto* u = std::get_if<uint64_t>(&value)) {
    *out = static_cast<double>(*u);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    return absl::SimpleAtod(*text, out);  // also "NaN" and "Infinity"
  } else {
    return false;
  }
  return true;
}

bool ToBool(const Scalar& value, bool* out) {
  if (const auto* b = std::get_if<bool>(&value)) {
    *out = *b;
    return true;
  }
  const auto* text = std::get_if<std::string>(&value);  // from a table, where all is text
  if (text == nullptr) return false;
  *out = *text == "true";
  return *out || *text == "false";
}

bool ToBytes(const Scalar& value, std::string* out) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr &&
         (absl::Base64Unescape(*text, out) || absl::WebSafeBase64Unescape(*text, out));
}

// Returns what the value should have been, or an empty text if it was.
std::string SetScalar(Message* message, const FieldDescriptor* field, Scalar value) {
  const Reflection& reflection = *message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      if (!ToInteger(value, &number)) return "a whole number of 32 bits";
      reflection.SetInt32(message, field, number);
      return "";
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t number = 0;
      if (!ToInteger(value, &number)) return "a whole number of 64 bits";
      reflection.SetInt64(message, field, number);
      return "";
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      uint32_t number = 0;
      if (!ToInteger(value, &number)) return "a whole number in [0, 2^32 - 1]";
      reflection.SetUInt32(message, field, number);
      return "";
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t number = 0;
      if (!ToInteger(value, &number)) return "a whole number in [0, 2^64 - 1]";
      reflection.SetUInt64(message, field, number);
      return "";
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      if (!ToDouble(value, &number)) return "a number";
      reflection.SetDouble(message, field, number);
      return "";
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool flag = false;
      if (!ToBool(value, &flag)) return "true or false";
      reflection.SetBool(message, field, flag);
      return "";
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      int32_t number = 0;
      if (const auto* name = std::get_if<std::string>(&value)) {
        const EnumValueDescriptor* known = field->enum_type()->FindValueByName(*name);
        if (known == nullptr) {
          return absl::StrCat("a name of ", field->enum_type()->name(), " such as ",
                              field->enum_type()->value(1)->name());
        }
        number = known->number();
      } else if (!ToInteger(value, &number)) {
        return "a name or number";
      }
      reflection.SetEnumValue(message, field, number);
      return "";
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        std::string bytes;
        if (!ToBytes(value, &bytes)) return "base64 text";
        reflection.SetString(message, field, std::move(bytes));
        return "";
      }
      auto* text = std::get_if<std::string>(&value);
      if (text == nullptr) return "a string";
      reflection.SetString(message, field, std::move(*text));
      return "";
    }
    default:
      return "an object";
  }
}

// The parser's events, applied to the message as they come.
class RequestBuilder final : public nlohmann::json::json_sax_t {
 public:
  RequestBuilder(mfn::v1::SimulationRequest* request, std::vector<std::string>* warnings)
      : request_(request), warnings_(warnings) {}

  absl::Status Result() const {
    if (!problem_.ok()) return problem_;
    if (known_ == 0) {
      return FieldError("", "NOT_A_REQUEST",
                        "the object has none of the fields of a request, such as request_id, "
                        "seed, grid_size or steps");
    }
    return absl::OkStatus();
  }

  bool null() override { return Set(nullptr); }
  bool boolean(bool value) override { return Set(value); }
  bool number_integer(number_integer_t value) override { return Set(int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override { return Set(uint64_t{value}); }
  bool number_float(number_float_t value, const string_t&) override { return Set(value); }
  bool string(string_t& value) override { return Set(std::move(value)); }
  bool binary(binary_t&) override { return true; }

  bool key(string_t& name) override {
    if (skipping_ > 0) return true;
    field_ = scopes_.back()->GetDescriptor()->FindFieldByName(name);
    if (field_ != nullptr) {
      known_ += scopes_.size() == 1 ? 1 : 0;
    } else if (warnings_->size() < kMaxWarnings) {
      warnings_->push_back(name.size() <= kMaxNameInText
                               ? absl::StrCat("unknown field \"", name, "\"")
                               : absl::StrCat("unknown field of ", name.size(), " characters"));
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (skipping_ > 0) return ++skipping_ > 0;
    if (scopes_.empty()) {
      scopes_.push_back(request_);
      return true;
    }
    if (field_ != nullptr && field_->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CheckAlone();
      scopes_.push_back(scopes_.back()->GetReflection()->MutableMessage(scopes_.back(), field_));
      path_.push_back(field_);
      return true;
    }
    return Skip("an object");
  }
  bool end_object() override {
    if (skipping_ > 0) return --skipping_ >= 0;
    scopes_.pop_back();
    if (!path_.empty()) path_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    if (skipping_ > 0) return ++skipping_ > 0;
    if (scopes_.empty()) return NotAnObject("a list");
    return Skip("a list");
  }
  bool end_array() override {
    if (skipping_ > 0) --skipping_;
    return true;
  }

  // Says where; the library's own words quote the text, which may not even be UTF-8.
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& error) override {
    (void)token;
    const absl::string_view text = error.what();
    if (absl::StrContains(text, "UTF-8")) {
      problem_ = FieldError("", "NOT_UTF8", absl::StrCat("not UTF-8 at byte ", position));
    } else if (absl::StrContains(text, "unexpected end of input")) {
      problem_ = FieldError("", "JSON_TRUNCATED",
                            absl::StrCat("the JSON text ends too early, after byte ", position));
    } else if (absl::StrContains(text, "out of range")) {
      problem_ = FieldError("", "NOT_JSON",
                            absl::StrCat("a number at byte ", position, " is out of range"));
    } else {
      problem_ =
          FieldError("", "NOT_JSON", absl::StrCat("not JSON: syntax error at byte ", position));
    }
    return false;
  }

 private:
  std::string Path() const {
    std::string path;
    for (const FieldDescriptor* part : path_) absl::StrAppend(&path, part->name(), ".");
    return absl::StrCat(path, field_->name());
  }

  bool NotAnObject(absl::string_view what) {
    problem_ =
        FieldError("", "NOT_A_REQUEST", absl::StrCat("a request is a JSON object, this is ", what));
    return false;
  }

  bool Skip(absl::string_view what) {
    if (field_ != nullptr) Mismatch(absl::StrCat("must not be ", what));
    skipping_ = 1;
    return true;
  }

  // One member of a oneof would silently clear another.
  void CheckAlone() {
    const google::protobuf::OneofDescriptor* oneof = field_->containing_oneof();
    if (oneof == nullptr) return;
    const FieldDescriptor* other =
        scopes_.back()->GetReflection()->GetOneofFieldDescriptor(*scopes_.back(), oneof);
    if (other == nullptr || other == field_) return;
    Mismatch(absl::StrCat("must be absent beside ", other->name()));
  }

  // The first problem is the one reported; reading goes on, for the request's id may follow.
  void Mismatch(absl::string_view demand) {
    if (!problem_.ok()) return;
    const std::string path = Path();
    problem_ = FieldError(path, "WRONG_TYPE", absl::StrCat(path, " ", demand));
  }

  bool Set(Scalar value) {
    if (skipping_ > 0) return true;
    if (scopes_.empty()) {
      return NotAnObject(std::holds_alternative<std::string>(value)      ? "a string"
                         : std::holds_alternative<bool>(value)           ? "a truth value"
                         : std::holds_alternative<std::nullptr_t>(value) ? "null"
                                                                         : "a number");
    }
    if (field_ == nullptr || std::holds_alternative<std::nullptr_t>(value)) return true;
    const std::string expected = SetScalar(scopes_.back(), field_, std::move(value));
    if (!expected.empty()) Mismatch(absl::StrCat("must be ", expected));
    return true;
  }

  mfn::v1::SimulationRequest* const request_;
  std::vector<std::string>* const warnings_;
  absl::Status problem_;
  std::vector<Message*> scopes_;              // the open objects that are known
  std::vector<const FieldDescriptor*> path_;  // their fields, without the outermost
  const FieldDescriptor* field_ = nullptr;    // of the last key; null: unknown
  int skipping_ = 0;                          // open unknown lists and objects
  int known_ = 0;
};

}  // namespace

absl::Status ParseRequest(absl::string_view json, mfn::v1::SimulationRequest* request,
                          std::vector<std::string>* warnings) {
  RequestBuilder builder(request, warnings);
  nlohmann::json::sax_parse(json.begin(), json.end(), &builder);
  return builder.Result();
}

}  // namespace mfn::pipeline
