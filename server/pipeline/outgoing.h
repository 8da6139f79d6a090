// Items as the records that a publisher is given: the idempotency key as id, the source's
// attributes, and for results their own content type and engine revision. Borrows from the items,
// which must outlive it.
#ifndef MFN_SERVER_PIPELINE_OUTGOING_H_
#define MFN_SERVER_PIPELINE_OUTGOING_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "mfn/plugin.h"
#include "server/pipeline/item.h"

namespace mfn::pipeline {

class OutgoingBatch {
 public:
  // `simulated`: payloads are JSON made here; else they are the source's bytes with its content
  // type.
  explicit OutgoingBatch(bool simulated) : simulated_(simulated) {}

  void Add(const Item& item) { Add(item, item.payload(), {}); }
  // With another payload and further attributes, which are copied.
  void Add(const Item& item, absl::string_view payload, Attributes extra);
  absl::Span<const mfn_record> records() const { return records_; }

 private:
  const bool simulated_;
  std::vector<mfn_record> records_;
  std::deque<std::vector<mfn_kv>> attributes_;  // stable addresses
  std::deque<Attributes> extra_;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_OUTGOING_H_
