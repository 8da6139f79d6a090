// Attributes to a blob and back.
#include "server/store/attributes.h"

#include <cstdint>

namespace mfn::store {
namespace {

constexpr size_t kLengthBytes = 4;

void Append(absl::string_view text, std::string& blob) {
  const uint32_t size = static_cast<uint32_t>(text.size());
  for (int shift = 0; shift < 32; shift += 8) blob.push_back(static_cast<char>(size >> shift));
  blob.append(text.data(), text.size());
}

bool Take(absl::string_view& blob, std::string& text) {
  if (blob.size() < kLengthBytes) return false;
  uint32_t size = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    size |= static_cast<uint32_t>(static_cast<unsigned char>(blob[i])) << (8 * i);
  }
  blob.remove_prefix(kLengthBytes);
  if (blob.size() < size) return false;
  text.assign(blob.data(), size);
  blob.remove_prefix(size);
  return true;
}

}  // namespace

std::string EncodeAttributes(const Attributes& attributes) {
  std::string blob;
  for (const auto& [name, value] : attributes) {
    Append(name, blob);
    Append(value, blob);
  }
  return blob;
}

absl::StatusOr<Attributes> DecodeAttributes(absl::string_view blob) {
  Attributes attributes;
  while (!blob.empty()) {
    std::pair<std::string, std::string> attribute;
    if (!Take(blob, attribute.first) || !Take(blob, attribute.second)) {
      return absl::DataLossError("attributes end in the middle of a length or text");
    }
    attributes.push_back(std::move(attribute));
  }
  return attributes;
}

}  // namespace mfn::store
