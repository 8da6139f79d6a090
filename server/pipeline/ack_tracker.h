// Host-owned acks: which records are settled, in which order their batches may be acked, and in
// which account of the ledger each item stands.
//
// An item has parties: its processing, and each sink. Some of them gate the ack (processing, and
// the sinks that are required and at-least-once), the others do not (optional sinks; at-most-once
// sinks, which receive the item after the ack).
//   record settled  = no gating party of any of its items is left; once all records of its batch
//                     are, the batch is acked: in the order of arrival within a lane, at once if
//                     the lane is unordered, exactly once
//   item final      = no party at all is left; it moves to the account of its worst outcome
//                     (dead-lettered before dropped before delivered)
// Thread-safe. The tracker never calls anybody: the reader takes what is ready with TakeReady, acks
// it, and reports with Acked.
#ifndef MFN_SERVER_PIPELINE_ACK_TRACKER_H_
#define MFN_SERVER_PIPELINE_ACK_TRACKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "mfn/plugin.h"
#include "server/base/mutex.h"
#include "server/pipeline/conservation.h"
#include "server/pipeline/item.h"

namespace mfn::pipeline {

struct ReadyAck {
  std::shared_ptr<RecordBatch> batch;
  std::vector<mfn_code> outcomes;  // one per record
};

class AckTracker {
 public:
  // `sinks`: all; `gating_sinks`: those that hold up the ack. `ready` is called, without the lock,
  // whenever something became ready or final; it must be quick.
  AckTracker(ConservationLedger* ledger, int sinks, int gating_sinks, std::function<void()> ready);
  ~AckTracker();

  // The batch's records must have their `bytes`; each item names its batch and record. Counts the
  // items as received.
  void Add(const std::shared_ptr<RecordBatch>& batch, const std::vector<ItemPtr>& items);

  // One party is done with the item. `outcome`: kDelivered, kDeadLettered or kDropped (with a
  // cause).
  void Settle(const ItemPtr& item, bool gating, Account outcome, absl::string_view cause = "");
  // All parties at once: the request itself is at fault.
  void SettleAll(const ItemPtr& item, Account outcome, absl::string_view cause = "");
  void Park(const ItemPtr& item);
  void Unpark(const ItemPtr& item);

  // The next batch to ack, if any, in an order that is right for every lane. For one reader thread.
  std::optional<ReadyAck> TakeReady();
  // Puts it back as the next: the ack failed in passing.
  void AckFailed(ReadyAck ack);
  // The source knows (or `lost`: never will). Returns the items whose records were acked with OK
  // and that still have parties: the at-most-once sinks' turn.
  std::vector<ItemPtr> Acked(const ReadyAck& ack);

  // Gives up on what is not settled: such records become ready with MFN_RETRYABLE and their items
  // are counted as returned. `lost`: the source drops all acks of the lane.
  void ReturnLane(uint64_t lane, bool lost = false);
  void ReturnAll();

  struct Span {
    uint64_t records = 0;  // read and not acked
    uint64_t bytes = 0;
    uint64_t cost = 0;
    uint64_t unfinished_items = 0;  // not final; also of records that have been acked
    bool ack_ready = false;
  };
  Span span() const;
  bool LaneIdle(uint64_t lane) const;

 private:
  using BatchPtr = std::shared_ptr<RecordBatch>;

  void SettleLocked(const ItemPtr& item, int parties, int gating, Account outcome,
                    absl::string_view cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordSettled(const BatchPtr& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(Item* item, Account account, absl::string_view cause)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReturnBatch(const BatchPtr& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeReady(const BatchPtr& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ConservationLedger* const ledger_;
  const int sinks_, gating_sinks_;
  const std::function<void()> ready_callback_;

  mutable Mutex mutex_;
  // Unacked batches by lane, oldest first; a batch leaves when it has been acked.
  std::map<uint64_t, std::deque<BatchPtr>> lanes_ ABSL_GUARDED_BY(mutex_);
  std::deque<ReadyAck> ready_ ABSL_GUARDED_BY(mutex_);
  uint64_t records_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t cost_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_ACK_TRACKER_H_
