#include "server/pipeline/conservation.h"

#include <algorithm>
#include <string>

namespace mfn::pipeline {

void ConservationLedger::Receive(uint64_t items) {
  MutexLock lock(&mutex_);
  counts_.received += items;
  counts_.in_flight += items;
}

uint64_t ConservationLedger::Move(Account from, Account to, uint64_t items,
                                  absl::string_view cause) {
  MutexLock lock(&mutex_);
  uint64_t& source = Balance(from);
  items = std::min(items, source);
  if (items == 0) return 0;
  source -= items;
  Balance(to) += items;
  if (to == Account::kDropped) counts_.dropped_by_cause[std::string(cause)] += items;
  return items;
}

Conservation ConservationLedger::Snapshot() const {
  MutexLock lock(&mutex_);
  return counts_;
}

uint64_t& ConservationLedger::Balance(Account account) {
  switch (account) {
    case Account::kInFlight:
      return counts_.in_flight;
    case Account::kParked:
      return counts_.parked;
    case Account::kDelivered:
      return counts_.delivered;
    case Account::kDeadLettered:
      return counts_.dead_lettered;
    case Account::kDropped:
      return counts_.dropped;
    case Account::kReturned:
      break;
  }
  return counts_.returned;
}

}  // namespace mfn::pipeline
