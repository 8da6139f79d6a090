// Names and messages of engine errors.

#include "server/engine/error.h"

#include <charconv>

namespace mfn::engine {
namespace {

Error RangeError(ErrorKind kind, std::string field, double value, std::optional<double> min,
                 std::optional<double> max) {
  Error error;
  error.kind = kind;
  error.message = field + " is " + FormatDouble(value) + ", must be ";
  if (min && max) {
    error.message += "in [" + FormatDouble(*min) + ", " + FormatDouble(*max) + "]";
  } else if (min) {
    error.message += "at least " + FormatDouble(*min);
  } else if (max) {
    error.message += "at most " + FormatDouble(*max);
  } else {
    error.message += "something else";
  }
  error.field = std::move(field);
  error.value = value;
  error.min = min;
  error.max = max;
  return error;
}

}  // namespace

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
      return "invalid argument";
    case ErrorKind::kOutOfRange:
      return "out of range";
    case ErrorKind::kStability:
      return "stability";
    case ErrorKind::kNumericalInstability:
      return "numerical instability";
    case ErrorKind::kCancelled:
      return "cancelled";
    case ErrorKind::kResourceExhausted:
      return "resource exhausted";
  }
  return "unknown";
}

Error InvalidArgument(std::string field, std::string message) {
  Error error;
  error.kind = ErrorKind::kInvalidArgument;
  error.field = std::move(field);
  error.message = std::move(message);
  return error;
}

Error InvalidArgument(std::string field, double value, std::optional<double> min,
                      std::optional<double> max) {
  return RangeError(ErrorKind::kInvalidArgument, std::move(field), value, min, max);
}

Error OutOfRange(std::string field, double value, std::optional<double> min,
                 std::optional<double> max) {
  return RangeError(ErrorKind::kOutOfRange, std::move(field), value, min, max);
}

std::string FormatDouble(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

}  // namespace mfn::engine
