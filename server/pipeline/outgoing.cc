#include "server/pipeline/outgoing.h"

#include "absl/strings/match.h"

namespace mfn::pipeline {
namespace {

// What described the request's bytes does not describe the result's.
bool OfThePayload(absl::string_view key) {
  return absl::EqualsIgnoreCase(key, "content-type") ||
         absl::EqualsIgnoreCase(key, "content-encoding") ||
         absl::EqualsIgnoreCase(key, "content-length");
}

}  // namespace

void OutgoingBatch::Add(ItemPtr item) {
  AddRecord(*item, item->payload(), {});
  items_.push_back(std::move(item));
}

void OutgoingBatch::Add(ItemPtr item, std::string payload, Attributes extra) {
  AddRecord(*item, payloads_.emplace_back(std::move(payload)),
            extra_.emplace_back(std::move(extra)));
  items_.push_back(std::move(item));
}

void OutgoingBatch::AddRecord(const Item& item, absl::string_view payload,
                              const Attributes& extra) {
  std::vector<mfn_kv>& attributes = attributes_.emplace_back();
  if (simulated_) {
    attributes.push_back({Bytes("content-type"), Bytes("application/json")});
    attributes.push_back({Bytes("mfn-engine-revision"), Bytes(kEngineRevision)});
  }
  for (const auto& [key, value] : item.attributes) {
    if (simulated_ && OfThePayload(key)) continue;
    attributes.push_back({Bytes(key), Bytes(value)});
  }
  for (const auto& [key, value] : extra) {
    attributes.push_back({Bytes(key), Bytes(value)});
  }
  mfn_record record = {};
  record.id = Bytes(item.key);
  if (item.has_partition_key) record.key = Bytes(item.partition_key);
  record.payload = Bytes(payload);
  record.attrs = attributes.data();
  record.n_attrs = attributes.size();
  record.time_unix_ns = item.time_unix_ns;
  records_.push_back(record);
}

}  // namespace mfn::pipeline
