// What happens to a record between source and publishers: records become items, and an item's
// output is made.
#ifndef MFN_SERVER_PIPELINE_PROCESSOR_H_
#define MFN_SERVER_PIPELINE_PROCESSOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/config.h"
#include "server/engine/simulation.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/item.h"

namespace mfn::pipeline {

struct Intake {
  std::shared_ptr<RecordBatch> batch;
  std::vector<ItemPtr> items;  // in order; never none for a record
};

// Thread-safe: it holds nothing but names and limits.
class Processor {
 public:
  // `source`: what identifies the source in idempotency keys.
  Processor(ProcessorKind kind, std::string pipeline, std::string source, CodecLimits limits = {});

  // Splits and decodes. An item that is no request has `fault` set. Passthrough: each record is one
  // item.
  Intake Decode(registry::OwnedBatch batch) const;

  // Decodes the bytes in item->storage, whose key is set (a replay).
  void DecodeOne(Item* item) const;

  // Makes item->output; the job is gone afterwards. Fails with the item's fault, an engine error,
  // or CANCELLED once the item has been returned. Adds the thread's processor time to
  // `cpu_seconds`.
  absl::Status Process(Item* item, engine::Simulation* arena, double* cpu_seconds) const;

  ProcessorKind kind() const { return kind_; }

 private:
  void ReadRequest(DecodedItem decoded, Item* item) const;

  const ProcessorKind kind_;
  const std::string pipeline_, source_;
  const CodecLimits limits_;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_PROCESSOR_H_
