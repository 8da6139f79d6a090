// A letter's attributes as one blob: for each name and each value its length (uint32,
// little-endian) and its bytes, whatever they are.
#ifndef MFN_SERVER_STORE_ATTRIBUTE_CODEC_H_
#define MFN_SERVER_STORE_ATTRIBUTE_CODEC_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::store {

using Attributes = std::vector<std::pair<std::string, std::string>>;

std::string EncodeAttributes(const Attributes& attributes);
absl::StatusOr<Attributes> DecodeAttributes(absl::string_view blob);  // DATA_LOSS

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_ATTRIBUTE_CODEC_H_
