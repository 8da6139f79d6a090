// Sorts the records of a partly failed write.
#include "server/registry/pending_write.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace mfn::registry {

using resilience::Outcome;

namespace {

struct Rest {
  std::vector<mfn_record> records;
  std::shared_ptr<const void> owner;  // of their bytes
};

}  // namespace

Verdict PendingWrite::Settle(mfn_code code, mfn_call* call) {
  Verdict whole = Judge(code, std::move(call->failure), *call);
  if (call->records.empty() && !partial_) return whole;
  const absl::Span<const mfn_record> written = records().records;
  std::vector<Verdict> each(written.size(), whole);
  for (auto& named : call->records) {
    each[named.index] = Judge(named.failure.code, std::move(named.failure), *call);
  }
  auto rest = std::make_shared<Rest>();
  std::vector<uint64_t> index;
  std::vector<Failure> last;
  Verdict left;
  for (size_t i = 0; i < each.size(); ++i) {
    if (each[i].outcome == Outcome::kOk) continue;
    if (each[i].outcome == Outcome::kPermanent) {
      settled_.push_back({IndexOf(i), std::move(each[i].failure)});
      continue;
    }
    rest->records.push_back(written[i]);
    index.push_back(IndexOf(i));
    last.push_back(each[i].failure);
    if (left.outcome == Outcome::kOk) left = std::move(each[i]);
  }
  // All of them refused by the call itself: that is the call's outcome, not many records'.
  if (!partial_ && settled_.size() == all_.records.size() && call->records.empty()) {
    settled_.clear();
    return whole;
  }
  rest->owner = all_.owner;
  rest_ = {rest->records, std::move(rest)};
  index_ = std::move(index);
  last_ = std::move(last);
  partial_ = true;
  return left;
}

WriteResult PendingWrite::Finish(Failure failure) {
  WriteResult result;
  if (!partial_) {
    result.failure = std::move(failure);
    return result;
  }
  result.failure.attempts = failure.attempts;
  for (size_t i = 0; i < last_.size() && !failure.ok(); ++i) {
    // An end that came between attempts (cancelled, closed) is news; else its own words are better.
    Failure own = failure.code == MFN_CANCELLED ? failure : std::move(last_[i]);
    own.retry_after = std::max(own.retry_after, failure.retry_after);
    settled_.push_back({index_[i], std::move(own)});
  }
  for (WriteResult::Record& record : settled_) record.failure.attempts = failure.attempts;
  std::sort(settled_.begin(), settled_.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  result.failed = std::move(settled_);
  return result;
}

}  // namespace mfn::registry
