// The books of one pipeline: every item that was received is in exactly one account at every
// moment.
//
//   received = delivered + dead_lettered + dropped + returned + parked + in_flight
//
// Thread-safe; each operation is atomic, so no snapshot ever shows an item twice or not at all.
#ifndef MFN_SERVER_PIPELINE_CONSERVATION_H_
#define MFN_SERVER_PIPELINE_CONSERVATION_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "server/base/mutex.h"
#include "server/pipeline/pipeline.h"

namespace mfn::pipeline {

enum class Account { kInFlight, kParked, kDelivered, kDeadLettered, kDropped, kReturned };

class ConservationLedger {
 public:
  // New items, all in flight.
  void Receive(uint64_t items);
  // `cause` is required when `to` is kDropped, and ignored otherwise. Moves no more than are there;
  // returns how many that were.
  uint64_t Move(Account from, Account to, uint64_t items, absl::string_view cause = "");
  Conservation Snapshot() const;

 private:
  uint64_t& Balance(Account account) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  Conservation counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_CONSERVATION_H_
