// Bytes of a plugin made fit for the server: bounded, valid UTF-8, without control characters.
#ifndef MFN_SERVER_REGISTRY_TEXT_H_
#define MFN_SERVER_REGISTRY_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "mfn/plugin.h"

namespace mfn::registry {

inline absl::string_view View(mfn_bytes bytes) {
  if (bytes.data == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes.data), static_cast<size_t>(bytes.len)};
}

inline mfn_bytes Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data() == nullptr ? "" : text.data()), text.size()};
}

// At most max_bytes of it; what is not UTF-8 becomes '?', control characters become spaces.
std::string CleanText(mfn_bytes bytes, size_t max_bytes);

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_TEXT_H_
