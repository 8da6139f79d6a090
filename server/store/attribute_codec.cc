// See attribute_codec.h.
#include "server/store/attribute_codec.h"

#include <cstddef>
#include <cstdint>

namespace mfn::store {
namespace {

constexpr size_t kLengthBytes = 4;

void Append(absl::string_view text, std::string& blob) {
  for (size_t k = 0; k < kLengthBytes; ++k) {
    blob.push_back(static_cast<char>((text.size() >> (8 * k)) & 0xff));
  }
  blob.append(text.data(), text.size());
}

bool Consume(absl::string_view& blob, std::string& text) {
  if (blob.size() < kLengthBytes) return false;
  size_t length = 0;
  for (size_t k = 0; k < kLengthBytes; ++k) {
    length |= static_cast<size_t>(static_cast<uint8_t>(blob[k])) << (8 * k);
  }
  blob.remove_prefix(kLengthBytes);
  if (blob.size() < length) return false;
  text.assign(blob.data(), length);
  blob.remove_prefix(length);
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
    auto& [name, value] = attributes.emplace_back();
    if (!Consume(blob, name) || !Consume(blob, value)) {
      return absl::DataLossError("the attributes are cut short");
    }
  }
  return attributes;
}

}  // namespace mfn::store
