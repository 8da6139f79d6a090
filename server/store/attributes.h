// A letter's attributes as one blob: for each name and then its value, a 32-bit little-endian
// length and the bytes. Names may repeat; order is kept.
#ifndef MFN_SERVER_STORE_ATTRIBUTES_H_
#define MFN_SERVER_STORE_ATTRIBUTES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mfn::store {

using Attributes = std::vector<std::pair<std::string, std::string>>;

std::string EncodeAttributes(const Attributes& attributes);
// DATA_LOSS: not what EncodeAttributes makes.
absl::StatusOr<Attributes> DecodeAttributes(absl::string_view blob);

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_ATTRIBUTES_H_
