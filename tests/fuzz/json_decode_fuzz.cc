// A payload from a broker, a file or a client: split, decoded, checked, and written again.
//
// Beyond not crashing: every item lies within the payload; what our reader takes for a request is
// JSON to another parser too; and a job that passes the checks keeps the engine's limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "server/pipeline/codec.h"

namespace {

using mfn::pipeline::CodecLimits;
using mfn::pipeline::DecodedItem;

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckItem(const DecodedItem& item, absl::string_view payload, const CodecLimits& limits) {
  if (!item.bytes.empty()) {
    Require(item.bytes.data() >= payload.data());
    Require(item.bytes.data() + item.bytes.size() <= payload.data() + payload.size());
  }
  if (!item.status.ok()) {
    Require(!item.status.message().empty());
    return;
  }
  Require(nlohmann::json::accept(item.bytes.begin(), item.bytes.end()));
  auto job = mfn::pipeline::FromProto(item.request, limits);
  if (!job.ok()) {
    Require(!mfn::pipeline::ReasonOf(job.status()).empty());
    return;
  }
  const int64_t n = job->config.grid_size;
  Require(n <= limits.engine.max_grid_size);
  Require(job->initial_field.empty() || job->initial_field.size() == static_cast<size_t>(n * n));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view payload(reinterpret_cast<const char*>(data), size);
  CodecLimits limits;
  limits.max_items = 64;
  const auto decoded = mfn::pipeline::DecodePayload(payload, "application/json", limits);
  Require(!decoded.items.empty());
  Require(decoded.items.size() <= limits.max_items || !decoded.list);
  for (const DecodedItem& item : decoded.items) CheckItem(item, payload, limits);
  return 0;
}
