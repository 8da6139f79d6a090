// Parsing JSON from outside within bounds: size and depth are limited before anything is built, so
// that no input can exhaust the memory or the stack.
//
//   absl::StatusOr<nlohmann::json> value = ParseJson(text);
//
// Stricter than JSON itself where a looser reading hides mistakes: text must be UTF-8, nothing may
// follow the value, and a key may appear once per object. Pure functions, safe from any thread.
#ifndef MFN_SERVER_BASE_JSON_H_
#define MFN_SERVER_BASE_JSON_H_

#include <cstddef>
#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn {

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;  // of text, inclusive
  int max_depth = 64;                   // nested objects and arrays; a scalar has depth 0
};

// InvalidArgument for text that is not one JSON value within the limits. The message names the byte
// offset (from 0) and, where one was crossed, the bound; it never quotes the text, which may hold a
// secret.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, const JsonLimits& limits = {});

}  // namespace mfn

#endif  // MFN_SERVER_BASE_JSON_H_
