// Plugin text: checked as UTF-8 byte by byte, since it ends in protobuf strings.
#include "server/registry/text.h"

#include <algorithm>

namespace mfn::registry {
namespace {

// Length of the UTF-8 sequence at the front; 0 if it is none (RFC 3629: no overlong forms, no
// surrogates, nothing past U+10FFFF).
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](size_t n) {
    if (text.size() < n) return false;
    for (size_t i = 1; i < n; ++i) {
      if ((byte(i) & 0xC0) != 0x80) return false;
    }
    return true;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(2) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!tail(3)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    return first == 0xED && byte(1) > 0x9F ? 0 : 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!tail(4)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    return first == 0xF4 && byte(1) > 0x8F ? 0 : 4;
  }
  return 0;
}

}  // namespace

std::string CleanText(mfn_bytes bytes, size_t max_bytes) {
  absl::string_view rest = View(bytes);
  std::string clean;
  clean.reserve(std::min(rest.size(), max_bytes));
  while (!rest.empty()) {
    const size_t length = SequenceLength(rest);
    if (clean.size() + std::max<size_t>(1, length) > max_bytes) break;
    if (length == 0) {
      clean += '?';
    } else if (length == 1 && (rest[0] < 0x20 || rest[0] == 0x7F)) {
      clean += ' ';
    } else {
      clean.append(rest.data(), length);
    }
    rest.remove_prefix(std::max<size_t>(1, length));
  }
  return clean;
}

}  // namespace mfn::registry
