// The engine's error type and the small result type that carries it. The engine throws nothing:
// every operation that can fail returns an Expected<T>.

#ifndef MFN_SERVER_ENGINE_ERROR_H_
#define MFN_SERVER_ENGINE_ERROR_H_

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace mfn::engine {

// The classes of failure of the numeric model (section 3.7), and two of our own for work that was
// stopped or is too large. Everything but kNumericalInstability and kCancelled is the caller's
// input.
enum class ErrorKind {
  kInvalidArgument,       // ValueError
  kOutOfRange,            // ValueOutOfRange: one parameter outside [min, max]
  kStability,             // a rate at which the explicit scheme would diverge
  kNumericalInstability,  // NaN or infinity appeared while computing
  kCancelled,             // the caller's cancel signal was seen
  kResourceExhausted,     // a server limit (size, work) would be passed
};

// "invalid argument", "out of range", ...
std::string_view ErrorKindName(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kInvalidArgument;
  std::string field;    // the parameter as the configuration spells it ("grid_size"), may be empty
  std::string message;  // one sentence: what is wrong with which value and what is allowed
  std::optional<double> value;
  std::optional<double> min;
  std::optional<double> max;
  std::optional<int64_t> step;   // zero-based step in which a numerical error appeared
  std::optional<int64_t> count;  // cells concerned
};

Error InvalidArgument(std::string field, std::string message);
// The message is made from the field, the value and the bounds that are given.
Error InvalidArgument(std::string field, double value, std::optional<double> min,
                      std::optional<double> max);
Error OutOfRange(std::string field, double value, std::optional<double> min,
                 std::optional<double> max);

// Shortest decimal text that reads back as the same double.
std::string FormatDouble(double value);

// A value or an Error. Calling value() on an error, or error() on a value, aborts: check ok().
template <typename T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : content_(std::in_place_index<0>, std::move(value)) {}      // NOLINT
  Expected(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return content_.index() == 0; }
  T& value() & { return *Get<0>(&content_); }
  const T& value() const& { return *Get<0>(&content_); }
  T&& value() && { return std::move(*Get<0>(&content_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return *Get<1>(&content_); }

 private:
  template <size_t kIndex, typename Variant>
  static auto* Get(Variant* content) {
    auto* held = std::get_if<kIndex>(content);
    if (held == nullptr) std::abort();
    return held;
  }

  std::variant<T, Error> content_;
};

template <>
class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(Error error) : error_(std::move(error)) {}  // NOLINT

  bool ok() const { return !error_.has_value(); }
  const Error& error() const {
    if (!error_) std::abort();
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_ERROR_H_
