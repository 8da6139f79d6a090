#include "server/pipeline/idempotency.h"

#include <openssl/sha.h>

#include <array>
#include <bit>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace mfn::pipeline {
namespace {

static_assert(std::endian::native == std::endian::little, "digests are over little-endian values");

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Digest Sha256(absl::string_view text) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::string Hex(const Digest& digest, size_t bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), bytes));
}

void AppendNumber(uint64_t value, std::string* text) {
  text->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendPart(absl::string_view part, std::string* text) {
  AppendNumber(part.size(), text);
  absl::StrAppend(text, part);
}

}  // namespace

std::string IdempotencyKey(absl::string_view pipeline, absl::string_view source,
                           absl::string_view record_id, int64_t item_index) {
  std::string text;
  text.reserve(4 * sizeof(uint64_t) + pipeline.size() + source.size() + record_id.size());
  AppendPart(pipeline, &text);
  AppendPart(source, &text);
  AppendPart(record_id, &text);
  AppendNumber(static_cast<uint64_t>(item_index), &text);
  return Hex(Sha256(text), 16);
}

engine::Seed SeedFromKey(absl::string_view key) {
  std::string text = "mfn seed ";
  absl::StrAppend(&text, key);
  const Digest digest = Sha256(text);
  uint64_t value = 0;
  std::memcpy(&value, digest.data(), sizeof(value));
  return engine::Seed(value >> 1);
}

std::string FeatureDigest(const engine::Features& features) {
  const std::array<double, engine::kFeatureCount> values = features.ToArray();
  return Hex(Sha256(absl::string_view(reinterpret_cast<const char*>(values.data()),
                                      sizeof(double) * values.size())),
             SHA256_DIGEST_LENGTH);
}

}  // namespace mfn::pipeline
