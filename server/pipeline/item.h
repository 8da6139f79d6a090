// What travels through a pipeline: a batch as the source gave it, its records, and the items
// (requests) in them.
//
// The reader makes all of it; a worker fills `output` of an item before any sink sees the item;
// after that everything but the tracker's part is read-only. Items share ownership of their batch,
// whose bytes they borrow, so the bytes live as long as anything refers to them.
#ifndef MFN_SERVER_PIPELINE_ITEM_H_
#define MFN_SERVER_PIPELINE_ITEM_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "mfn/plugin.h"
#include "server/pipeline/codec.h"
#include "server/pipeline/conservation.h"
#include "server/registry/instance.h"

namespace mfn::pipeline {

struct Item;

using Attributes = std::vector<std::pair<std::string, std::string>>;

inline absl::string_view View(const mfn_bytes& bytes) {
  return absl::string_view(reinterpret_cast<const char*>(bytes.data), bytes.len);
}
inline mfn_bytes Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

struct RecordBatch {
  registry::OwnedBatch source;
  // Copied from `source`, so that a batch can also be made without one (a replay).
  uint64_t lane = 0;
  bool unordered = false;

  // Guarded by the tracker's mutex from AckTracker::Add on.
  struct Record {
    std::vector<std::shared_ptr<Item>> items;  // until acked
    size_t unsettled = 0;                      // items that still hold up the ack
    mfn_code outcome = MFN_OK;
    // What it weighs against the in-flight bounds.
    uint64_t bytes = 0;
    uint64_t cost = 0;  // cell updates of its simulations
  };
  std::vector<Record> records;
  size_t unsettled = 0;  // records
  bool acking = false;   // on its way to the source
  bool lost = false;     // its lane is gone: the source drops the ack and gives the records again
};

// What every sink receives.
struct Output {
  std::string payload;
  bool borrowed = false;  // payload is the item's own bytes (passthrough)
  std::string digest;     // of the features; empty for passthrough
};

struct Item {
  std::shared_ptr<RecordBatch> batch;
  size_t record = 0;        // index in the batch
  int64_t index = 0;        // of the item in its record
  absl::string_view bytes;  // the request as read, within the batch
  std::string record_id;
  std::string key;         // idempotency key
  std::string request_id;  // as far as it could be read
  std::string partition_key;
  bool has_partition_key = false;
  int64_t time_unix_ns = MFN_TIME_ABSENT;
  Attributes attributes;  // of the record
  // Why it is no request; else the job, until a worker has done it.
  absl::Status fault;
  std::vector<std::string> warnings;
  std::unique_ptr<SimulationJob> job;
  Output output;

  std::string storage;  // behind `bytes` where there is no batch (a replay)

  absl::string_view payload() const { return output.borrowed ? bytes : output.payload; }

  // Of an error envelope: the item whose failure it tells of.
  std::shared_ptr<Item> about;
  std::function<void()> after;  // what is left to do once the envelope is out

  // Set when the record was given back to the source: whatever still holds the item lets go of it.
  std::atomic<bool> returned{false};
  bool gone() const { return returned || (about != nullptr && about->returned); }
  // Its error envelope has been made: one is enough, however many publishers refuse it.
  std::atomic<bool> answered{false};

  // The tracker's, guarded by its mutex.
  struct Tracked {
    int pending = 0;  // parties (processing and sinks) that have not settled it
    int gating = 0;   // those of them that hold up the ack
    int parked = 0;   // sinks that have it parked
    bool final = false;
    Account account = Account::kInFlight;
    Account worst = Account::kDelivered;  // so far
    std::string cause;                    // of a drop
  } tracked;
};

using ItemPtr = std::shared_ptr<Item>;

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_ITEM_H_
