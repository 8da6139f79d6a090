// The books as the world around a pipeline can keep them: for each item that the running process
// was given, the accounts in which it may stand by what its publishers, the store and the source
// have seen. Most of the time that is one account. Some decisions cannot be seen from outside (an
// optional publisher's queue was full, a record is on its way back to the source); until their
// consequence shows, an item may stand in several.
//
// Check compares: no account may hold fewer items than must stand in it, or more than may.
//
// An item is known by the ack number of its batch, which the source gives it as an attribute and
// which publishers and letters therefore carry, and by its key. One thread.
#ifndef MFN_SERVER_PIPELINE_MODEL_ORACLE_H_
#define MFN_SERVER_PIPELINE_MODEL_ORACLE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "mfn/plugin.h"
#include "server/pipeline/pipeline.h"

namespace mfn::pipeline {

class ModelOracle {
 public:
  struct Sink {
    std::string name;
    bool required = true, at_most_once = false;
  };
  struct ItemId {
    uint64_t ack = 0;
    std::string key;
    bool operator<(const ItemId& other) const {
      return std::tie(ack, key) < std::tie(other.ack, other.key);
    }
  };
  // After the last failure an item's place is certain only this often (Tuning::max_rounds).
  static constexpr int kSureRounds = 10;

  // A process begins, with nothing given. `errors`: it has an error publisher.
  void Begin(std::vector<Sink> sinks, bool errors);

  // What the source sees. `faulty`: the item is no request; `alone`: the only one of its record;
  // `processed`: it needs no worker.
  void Given(const ItemId& id, bool faulty, bool alone, bool processed);
  // The batch's lane is taken away: what is not settled of it may be returned any time now.
  void MayReturn(uint64_t ack);
  void MayReturnAll() { returning_ = true; }  // the process is draining
  // `outcome` of the record of these items; `known`: the source has taken it.
  void Acked(const std::vector<ItemId>& items, mfn_code outcome, bool known);

  // What a publisher sees: it took the item, for a deferred one (`durable` false) until its flush,
  // or did not.
  enum class Failure {
    kEndpoint,  // the item is parked
    kRefused,   // the item is buried
    kMayHold,   // buried or parked: it may be the refusal that makes the writer hold
    kBatch,     // the item is presented again, alone
  };
  // True: it is a letter's replay, which has no bearing on the item's account.
  bool IsReplay(const ItemId& id, absl::string_view sink) const;
  void Taken(const ItemId& id, absl::string_view sink, bool durable);
  void Failed(const ItemId& id, absl::string_view sink, Failure failure);
  void Told(const ItemId& id, bool ok);  // the error publisher

  // What the keeper of dead letters sees; an empty sink: the request itself is at fault.
  void LetterParked(const ItemId& id, absl::string_view sink);
  void LetterKept(const ItemId& id, absl::string_view sink);
  // A letter leaves: replayed (empty cause), or for a cause. `dead_lettered`: the account before.
  void LetterGone(uint64_t ack, absl::string_view cause, uint64_t dead_lettered);

  // `rest`: nothing is in flight any more. Empty: the books agree.
  std::string Check(const Conservation& counts, bool rest);
  // Items that are surely queued for a publisher.
  uint64_t MustQueue(absl::string_view sink) const;

 private:
  struct Party {
    bool seen = false, unflushed = false, delivered = false;
    bool parked = false, maybe_parked = false;  // with the publisher
    bool refused = false;
    bool letter_parked = false, lettered = false;
    bool dropped = false;  // by an at-most-once publisher
    int failures = 0;
  };
  struct Item {
    bool faulty = false, alone = true, processed = true;
    std::vector<Party> parties;  // by sink
    Party whole;                 // the request itself
    Party envelope;
    bool may_return = false, returned = false, acked = false, known = false;
  };
  // Bits: where a party, or an item, may stand.
  enum Where : unsigned {
    kPending = 1,
    kParked = 2,
    kDelivered = 4,
    kDropped = 8,
    kDeadLettered = 16,
    kReturned = 32,
  };
  struct View {
    unsigned where = 0;
    std::set<std::string> causes;  // if dropped
  };

  Party* Find(const ItemId& id, absl::string_view sink);
  unsigned PartyAt(const Item& item, size_t sink, bool rest, std::set<std::string>* causes) const;
  unsigned WholeAt(const Item& item, bool rest) const;
  bool EnvelopeOut(const Item& item) const { return !errors_ || item.envelope.delivered; }
  unsigned UnfinishedAt(const Item& item) const;
  View At(const Item& item, bool rest) const;

  std::vector<Sink> sinks_;
  bool errors_ = false, returning_ = false;
  uint64_t first_ack_ = 0;  // of this process
  uint64_t given_ = 0, entered_ = 0, replayed_ = 0, left_ = 0;
  std::map<std::string, uint64_t> gone_;  // letters, by cause
  std::map<ItemId, Item> items_;
  // Of items whose account can change no more, which are not kept.
  std::map<unsigned, uint64_t> done_;
  std::map<std::string, uint64_t> done_causes_;
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_MODEL_ORACLE_H_
