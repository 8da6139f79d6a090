#include "server/pipeline/model_oracle.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace mfn::pipeline {
namespace {

// How many items must and may stand in an account.
struct Bounds {
  uint64_t least = 0, most = 0;
  void Add(uint64_t count) {
    least += count;
    most += count;
  }
};

}  // namespace

void ModelOracle::Begin(std::vector<Sink> sinks, bool errors) {
  *this = ModelOracle();
  sinks_ = std::move(sinks);
  errors_ = errors;
}

void ModelOracle::Given(const ItemId& id, bool faulty, bool alone, bool processed) {
  if (first_ack_ == 0) first_ack_ = id.ack;
  ++given_;
  Item& item = items_[id];
  item.faulty = faulty;
  item.alone = alone;
  item.processed = processed;
  item.parties.resize(sinks_.size());
}

void ModelOracle::MayReturn(uint64_t ack) {
  for (auto it = items_.lower_bound({ack, ""}); it != items_.end() && it->first.ack == ack; ++it) {
    it->second.may_return = true;
  }
}

void ModelOracle::Acked(const std::vector<ItemId>& items, mfn_code outcome, bool known) {
  for (const ItemId& id : items) {
    const auto found = items_.find(id);
    if (found == items_.end()) continue;
    found->second.acked = true;
    found->second.known = known;
    found->second.returned = outcome == MFN_RETRYABLE;
  }
}

ModelOracle::Party* ModelOracle::Find(const ItemId& id, absl::string_view sink) {
  const auto item = items_.find(id);
  if (item == items_.end()) return nullptr;
  if (sink.empty()) return &item->second.whole;
  for (size_t k = 0; k < sinks_.size(); ++k) {
    if (sinks_[k].name == sink) return &item->second.parties[k];
  }
  return nullptr;
}

bool ModelOracle::IsReplay(const ItemId& id, absl::string_view sink) const {
  const auto item = items_.find(id);
  if (item == items_.end() || item->second.whole.lettered) return true;
  for (size_t k = 0; k < sinks_.size(); ++k) {
    if (sinks_[k].name == sink) return item->second.parties[k].lettered;
  }
  return false;
}

void ModelOracle::Taken(const ItemId& id, absl::string_view sink, bool durable) {
  Party* const party = Find(id, sink);
  if (party == nullptr) return;
  party->seen = true;
  party->parked = party->maybe_parked = party->refused = false;
  party->unflushed = !durable;
  party->delivered = durable;
}

void ModelOracle::Failed(const ItemId& id, absl::string_view sink, Failure failure) {
  Party* const party = Find(id, sink);
  if (party == nullptr) return;
  party->seen = true;
  party->unflushed = party->parked = party->maybe_parked = party->refused = false;
  for (const Sink& own : sinks_) {
    if (own.name == sink && own.at_most_once) {
      party->dropped = true;
      return;
    }
  }
  if (failure == Failure::kBatch) return;
  if (failure == Failure::kEndpoint) ++party->failures;
  party->parked = failure == Failure::kEndpoint && party->failures <= kSureRounds;
  party->maybe_parked = failure != Failure::kRefused;
  party->refused = !party->parked;
}

void ModelOracle::Told(const ItemId& id, bool ok) {
  const auto item = items_.find(id);
  if (item == items_.end()) return;
  Party& envelope = item->second.envelope;
  if (!ok) ++envelope.failures;
  envelope.delivered = ok;
  envelope.parked = !ok && envelope.failures <= kSureRounds;
  envelope.maybe_parked = !ok;
}

void ModelOracle::LetterParked(const ItemId& id, absl::string_view sink) {
  Party* const party = Find(id, sink);
  if (party == nullptr) return;
  party->letter_parked = true;
  party->parked = party->maybe_parked = false;
}

void ModelOracle::LetterKept(const ItemId& id, absl::string_view sink) {
  Party* const party = Find(id, sink);
  if (party == nullptr) return;
  party->letter_parked = party->parked = party->maybe_parked = false;
  party->lettered = true;
}

// A letter of an earlier process is received with the act, as is one whose item is not yet in its
// account because another publisher still has it.
void ModelOracle::LetterGone(uint64_t ack, absl::string_view cause, uint64_t dead_lettered) {
  const bool own = first_ack_ != 0 && ack >= first_ack_;
  ++(own && dead_lettered > 0 ? left_ : entered_);
  ++(cause.empty() ? replayed_ : gone_[std::string(cause)]);
}

// Where one publisher's part of the item may be.
unsigned ModelOracle::PartyAt(const Item& item, size_t sink, bool rest,
                              std::set<std::string>* causes) const {
  const Party& party = item.parties[sink];
  const Sink& own = sinks_[sink];
  unsigned where = 0;
  if (party.delivered) return kDelivered;
  if (party.dropped) {
    causes->insert("at_most_once");
    return kDropped;
  }
  if (party.lettered) {
    const bool told = EnvelopeOut(item) || !own.required || own.at_most_once;
    if (told) return kDeadLettered;
    return kPending | (rest || item.envelope.failures > kSureRounds ? kDeadLettered : 0U);
  }
  const auto drop = [&](const char* cause) {
    causes->insert(cause);
    where |= kDropped;
  };
  where |= kPending;
  if (rest && (!own.required || own.at_most_once)) drop("shutdown");
  if (own.at_most_once) {
    if (item.acked && !item.known) {  // the source gives it again
      causes->insert("ack_failed");
      return kDropped;
    }
    if (!item.acked && returning_) drop("ack_failed");
    if (!own.required && item.acked && !party.seen) drop("overflow");
    return where;
  }
  const bool queued = party.seen && !party.refused;
  if (!own.required && !queued) drop("overflow");
  return where;
}

unsigned ModelOracle::WholeAt(const Item& item, bool rest) const {
  if (!item.whole.lettered) return kPending;
  if (EnvelopeOut(item)) return kDeadLettered;
  return kPending | (rest || item.envelope.failures > kSureRounds ? kDeadLettered : 0U);
}

// Parked or in flight.
unsigned ModelOracle::UnfinishedAt(const Item& item) const {
  bool parked = item.whole.letter_parked || item.envelope.parked;
  bool maybe = item.envelope.maybe_parked;
  for (const Party& party : item.parties) {
    parked = parked || party.parked || party.letter_parked;
    maybe = maybe || party.maybe_parked;
  }
  return parked ? kParked : maybe ? kParked | kPending : kPending;
}

ModelOracle::View ModelOracle::At(const Item& item, bool rest) const {
  View view;
  std::vector<unsigned> parties;
  if (item.faulty) {
    parties.push_back(WholeAt(item, rest));
  } else {
    bool processed = item.processed || item.acked;
    for (size_t k = 0; k < sinks_.size(); ++k) {
      parties.push_back(PartyAt(item, k, rest, &view.causes));
      processed = processed || (item.parties[k].seen || item.parties[k].lettered);
    }
    parties.push_back(processed ? kDelivered : kPending | kDelivered);
  }
  const bool pending =
      std::any_of(parties.begin(), parties.end(), [](unsigned at) { return (at & kPending) != 0; });
  // The worst of the parties' outcomes is the item's.
  unsigned below = 0;
  for (const unsigned outcome : {kDelivered, kDropped, kDeadLettered}) {
    below |= outcome;
    const bool all = std::all_of(parties.begin(), parties.end(),
                                 [below](unsigned at) { return (at & below) != 0; });
    const bool any = std::any_of(parties.begin(), parties.end(),
                                 [outcome](unsigned at) { return (at & outcome) != 0; });
    if (all && any) view.where |= outcome;
  }
  if (item.returned) {
    if (item.alone) view.where = 0;  // it was not settled, so it was not final
    view.where |= kReturned;
    return view;
  }
  if (pending && !rest) view.where |= UnfinishedAt(item);
  if (!item.acked && (item.may_return || returning_)) view.where |= kReturned;
  return view;
}

std::string ModelOracle::Check(const Conservation& counts, bool rest) {
  std::map<unsigned, Bounds> accounts;
  std::map<std::string, Bounds> causes;
  constexpr unsigned kFinal = kDelivered | kDropped | kDeadLettered | kReturned;
  for (auto it = items_.begin(); it != items_.end();) {
    const View view = At(it->second, rest);
    if (view.where == 0) {
      return absl::StrCat("an item of batch ", it->first.ack, " was left behind");
    }
    const bool certain = (view.where & (view.where - 1)) == 0;
    const bool dropped = (view.where & kDropped) != 0;
    const bool one_cause = certain && view.causes.size() == 1;
    if (certain && (view.where & kFinal) != 0 && it->second.acked && (!dropped || one_cause)) {
      ++done_[view.where];
      if (dropped) ++done_causes_[*view.causes.begin()];
      it = items_.erase(it);
      continue;
    }
    for (unsigned account = kPending; account <= kReturned; account *= 2) {
      if ((view.where & account) == 0) continue;
      ++accounts[account].most;
      if (certain) ++accounts[account].least;
    }
    for (const std::string& cause : view.causes) {
      if (!dropped) break;
      ++causes[cause].most;
      if (one_cause) ++causes[cause].least;
    }
    ++it;
  }
  for (const auto& [account, count] : done_) accounts[account].Add(count);
  for (const auto& [cause, count] : done_causes_) causes[cause].Add(count);
  accounts[kDelivered].Add(replayed_);
  for (const auto& [cause, count] : gone_) {
    accounts[kDropped].Add(count);
    causes[cause].Add(count);
  }
  Bounds& dead = accounts[kDeadLettered];
  dead.least -= std::min(dead.least, left_);
  dead.most -= std::min(dead.most, left_);

  const auto compare = [](absl::string_view account, uint64_t count, const Bounds& bounds) {
    if (count >= bounds.least && count <= bounds.most) return std::string();
    return absl::StrCat("the books have ", count, " items as ", account, ", and it must be ",
                        bounds.least, " to ", bounds.most);
  };
  Bounds received;
  received.Add(given_ + entered_);
  for (const std::string& problem :
       {compare("received", counts.received, received),
        compare("in flight", counts.in_flight, accounts[kPending]),
        compare("parked", counts.parked, accounts[kParked]),
        compare("delivered", counts.delivered, accounts[kDelivered]),
        compare("dead-lettered", counts.dead_lettered, accounts[kDeadLettered]),
        compare("dropped", counts.dropped, accounts[kDropped]),
        compare("returned", counts.returned, accounts[kReturned])}) {
    if (!problem.empty()) return problem;
  }
  for (const auto& [cause, count] : counts.dropped_by_cause) causes[cause];
  for (const auto& [cause, bounds] : causes) {
    const auto found = counts.dropped_by_cause.find(cause);
    const uint64_t count = found == counts.dropped_by_cause.end() ? 0 : found->second;
    std::string problem = compare(absl::StrCat("dropped (", cause, ")"), count, bounds);
    if (!problem.empty()) return problem;
  }
  return "";
}

uint64_t ModelOracle::MustQueue(absl::string_view sink) const {
  uint64_t count = 0;
  for (size_t k = 0; k < sinks_.size(); ++k) {
    if (sinks_[k].name != sink) continue;
    for (const auto& [id, item] : items_) {
      if (item.returned || item.may_return || returning_) continue;  // it is let go of
      if (item.parties[k].parked || item.parties[k].unflushed) ++count;
    }
  }
  return count;
}

}  // namespace mfn::pipeline
