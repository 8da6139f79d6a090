// Items as the records that a publisher is given: the idempotency key as id, the source's
// attributes, and for results their own content type and engine revision. Shares the items and owns
// the rest, because a call that is given up still reads them (registry::SharedRecords).
#ifndef MFN_SERVER_PIPELINE_OUTGOING_H_
#define MFN_SERVER_PIPELINE_OUTGOING_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "mfn/plugin.h"
#include "server/pipeline/item.h"
#include "server/registry/instance.h"

namespace mfn::pipeline {

class OutgoingBatch {
 public:
  // `simulated`: payloads are JSON made here; else they are the source's bytes with its content
  // type.
  explicit OutgoingBatch(bool simulated) : simulated_(simulated) {}

  void Add(ItemPtr item);
  // With another payload and further attributes.
  void Add(ItemPtr item, std::string payload, Attributes extra);
  absl::Span<const mfn_record> records() const { return records_; }

 private:
  void AddRecord(const Item& item, absl::string_view payload, const Attributes& extra);

  const bool simulated_;
  std::vector<mfn_record> records_;
  std::vector<ItemPtr> items_;
  // Stable addresses.
  std::deque<std::vector<mfn_kv>> attributes_;
  std::deque<Attributes> extra_;
  std::deque<std::string> payloads_;
};

// For the call; nothing is added any more.
inline registry::SharedRecords Share(std::shared_ptr<const OutgoingBatch> batch) {
  const absl::Span<const mfn_record> records = batch->records();
  return {records, std::move(batch)};
}

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_OUTGOING_H_
