#include "server/pipeline/source_loop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace mfn::pipeline {
namespace {

bool MayPass(mfn_code code) {
  return code == MFN_RETRYABLE || code == MFN_THROTTLED || code == MFN_AUTH ||
         code == MFN_NOT_CONNECTED || code == MFN_CANCELLED;
}

}  // namespace

SourceLoop::SourceLoop(std::shared_ptr<registry::Instance> source, AckTracker* tracker,
                       Options options, Hooks hooks)
    : source_(std::move(source)),
      tracker_(tracker),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      read_pause_(options_.tuning.park_initial),
      ack_pause_(options_.tuning.park_initial) {}

void SourceLoop::SetPaused(bool paused) {
  MutexLock lock(&mutex_);
  paused_ = paused;
  awake_ = true;
  changed_.NotifyAll();
}

void SourceLoop::Drain(absl::Duration bound) {
  {
    MutexLock lock(&mutex_);
    drain_until_ = options_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(bound);
    awake_ = true;
    changed_.NotifyAll();
  }
  stop_reading_.Cancel();
}

void SourceLoop::Abort() {
  stop_reading_.Cancel();
  abort_.Cancel();
  Wake();
}

void SourceLoop::Wake() {
  MutexLock lock(&mutex_);
  awake_ = true;
  changed_.NotifyAll();
}

SourceLoop::Counts SourceLoop::counts() const {
  MutexLock lock(&mutex_);
  return counts_;
}

SourceLoop::End SourceLoop::Run() {
  while (true) {
    if (const std::optional<End> end = Step()) return *end;
  }
}

std::optional<SourceLoop::End> SourceLoop::Step() {
  MakeAcks();
  ReleaseLanes();
  const int64_t now = options_.clock->MonotonicNanos();
  std::optional<int64_t> drain_until;
  bool paused = false;
  {
    MutexLock lock(&mutex_);
    drain_until = drain_until_;
    paused = paused_;
  }
  const bool ending = drain_until || ended_ || failed_;
  if (ending && !told_ending_) {
    told_ending_ = true;
    hooks_.ending(true);
  }
  const bool over =
      (ending && Settled()) || (drain_until && now >= *drain_until && ReturnRest(now));
  if (over) {
    return failed_ ? End::kSourceFailed : ended_ ? End::kSourceEnded : End::kDrained;
  }
  const AckTracker::Span span = tracker_->span();
  if (!ending && !paused && HasRoom(span) && now >= read_not_before_ && !hooks_.full()) {
    ReadOnce(span);
  } else {
    Idle();
  }
  return std::nullopt;
}

bool SourceLoop::HasRoom(const AckTracker::Span& span) const {
  return span.records < options_.max_records && span.bytes < options_.max_bytes &&
         span.cost < options_.max_cost;
}

bool SourceLoop::Settled() {
  const AckTracker::Span span = tracker_->span();
  if (span.records > 0) return false;
  if (span.unfinished_items == 0) return true;
  // Only publishers that hold up no ack are left. They get their time, but not for ever.
  const int64_t now = options_.clock->MonotonicNanos();
  if (settled_since_ == 0) settled_since_ = now;
  return now - settled_since_ >= absl::ToInt64Nanoseconds(options_.settle_bound);
}

bool SourceLoop::ReturnRest(int64_t now) {
  if (!return_until_) {
    return_until_ = now + absl::ToInt64Nanoseconds(options_.tuning.final_ack);
  }
  tracker_->ReturnAll();  // also what a source gave without being asked
  if (now >= *return_until_) abort_.Cancel();
  MakeAcks();
  return tracker_->span().records == 0;
}

void SourceLoop::MakeAcks() {
  const bool wait = options_.clock->MonotonicNanos() < ack_not_before_;
  if (wait && !abort_.token().cancelled()) return;
  while (std::optional<ReadyAck> ack = tracker_->TakeReady()) {
    if (given_up_.count(ack->batch->lane) > 0) {
      FinishAck(*ack, /*known=*/false);
      continue;
    }
    const bool all_ok = std::all_of(ack->outcomes.begin(), ack->outcomes.end(),
                                    [](mfn_code code) { return code == MFN_OK; });
    const registry::Failure failure = source_->Ack(
        ack->batch->source, all_ok ? absl::Span<const mfn_code>() : ack->outcomes, abort_.token());
    const bool may_pass = !failure.ok() && MayPass(failure.code);
    if (may_pass && !abort_.token().cancelled()) {
      tracker_->AckFailed(std::move(*ack));
      ack_not_before_ = options_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(ack_pause_);
      ack_pause_ = std::min(ack_pause_ * 2, options_.tuning.park_max);
      Log(LogLevel::kWarning, "pipeline", "an ack failed and is made again",
          {{"pipeline", options_.pipeline}, {"error", failure.message}});
      return;
    }
    ack_pause_ = options_.tuning.park_initial;
    if (!failure.ok()) {
      Log(LogLevel::kError, "pipeline", "an ack failed; the source will give its records again",
          {{"pipeline", options_.pipeline}, {"error", failure.message}});
    }
    // An ack that is not made for lack of time must stay the last of its lane: a later one would
    // speak for it.
    if (may_pass && !ack->batch->unordered) given_up_.insert(ack->batch->lane);
    FinishAck(*ack, failure.ok() && !ack->batch->lost);
  }
}

void SourceLoop::FinishAck(const ReadyAck& ack, bool known) {
  const std::vector<ItemPtr> waiting = tracker_->Acked(ack);
  if (known) {
    MutexLock lock(&mutex_);
    counts_.records_acked += ack.outcomes.size();
  }
  if (!waiting.empty()) hooks_.acked(waiting, known);
}

// What records will cost is known once they are read. They are taken to cost as much as the dearest
// of late, and how many are asked for at once grows from one while that holds.
uint64_t SourceLoop::RecordsFor(uint64_t cost_left) const {
  if (options_.max_cost == kNoBound) return kNoBound;
  const uint64_t affordable = record_cost_ == 0 ? cost_left : cost_left / record_cost_;
  return std::clamp<uint64_t>(affordable, 1, records_at_once_);
}

void SourceLoop::ReadOnce(const AckTracker::Span& span) {
  // A batch is acked as a whole: small ones let reading go on while the oldest are settled.
  const uint64_t most = std::max<uint64_t>(1, options_.max_records / 8);
  const uint64_t records = std::min(
      {most, options_.max_records - span.records, RecordsFor(options_.max_cost - span.cost)});
  const bool acks_may_come = span.records > 0 || !revoked_.empty();
  absl::Duration wait =
      acks_may_come ? options_.tuning.read_wait_busy : options_.tuning.read_wait_idle;
  if (options_.stepped) wait = absl::ZeroDuration();
  kept_alive_ = options_.clock->MonotonicNanos();
  Take(source_->Read(records, options_.max_bytes - span.bytes, wait, stop_reading_.token()));
}

void SourceLoop::Take(registry::ReadResult result) {
  if (!result.failure.ok()) {
    if (result.failure.code != MFN_CANCELLED || !stop_reading_.token().cancelled()) {
      ReadFailed(result.failure);
    }
    return;
  }
  read_pause_ = options_.tuning.park_initial;
  if (!held_up_.empty()) hooks_.held_up(held_up_ = "");
  ended_ = ended_ || result.end;
  const uint64_t flags = result.batch.flags();
  if ((flags & (MFN_LANE_REVOKED | MFN_LANE_LOST)) != 0) {
    return LaneEvent(result.batch.lane(), flags);
  }
  const size_t records = result.batch.records().size();
  if (records == 0) return;
  {
    MutexLock lock(&mutex_);
    counts_.records_read += records;
  }
  const uint64_t cost = hooks_.deliver(std::move(result.batch));
  record_cost_ = std::max(cost, record_cost_ - record_cost_ / 16);  // forgotten after some dozens
  records_at_once_ = std::min<uint64_t>(records_at_once_ * 2, options_.max_records);
}

void SourceLoop::ReadFailed(const registry::Failure& failure) {
  if (!MayPass(failure.code)) {
    failed_ = true;
    error_ = absl::StrCat("connector \"", source_->name(), "\" cannot be read: ", failure.message);
    hooks_.held_up(error_);  // until what is in flight is settled
    Log(LogLevel::kError, "pipeline", "the source failed for good",
        {{"pipeline", options_.pipeline}, {"error", error_}});
    return;
  }
  const absl::Duration pause = std::max(read_pause_, failure.retry_after);
  read_not_before_ = options_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(pause);
  read_pause_ = std::min(read_pause_ * 2, options_.tuning.park_max);
  const std::string why =
      absl::StrCat("connector \"", source_->name(), "\" cannot be read now: ", failure.message);
  if (why == held_up_) return;
  hooks_.held_up(held_up_ = why);
  Log(LogLevel::kWarning, "pipeline", "reading is held up",
      {{"pipeline", options_.pipeline}, {"error", why}});
}

void SourceLoop::LaneEvent(uint64_t lane, uint64_t flags) {
  if ((flags & MFN_LANE_LOST) != 0) {
    revoked_.erase(lane);
    tracker_->ReturnLane(lane, /*lost=*/true);
    return;
  }
  revoked_.emplace(lane, options_.clock->MonotonicNanos() +
                             absl::ToInt64Nanoseconds(options_.tuning.lane_release));
}

void SourceLoop::ReleaseLanes() {
  const int64_t now = options_.clock->MonotonicNanos();
  for (auto it = revoked_.begin(); it != revoked_.end();) {
    if (!tracker_->LaneIdle(it->first) && now >= it->second) {
      tracker_->ReturnLane(it->first);
      MakeAcks();
    }
    if (!tracker_->LaneIdle(it->first)) {
      ++it;
      continue;
    }
    const registry::Failure failure = source_->LaneReleased(it->first, abort_.token());
    if (!failure.ok()) {
      Log(LogLevel::kWarning, "pipeline", "a lane could not be released",
          {{"pipeline", options_.pipeline}, {"error", failure.message}});
    }
    it = revoked_.erase(it);
  }
}

void SourceLoop::Idle() {
  const int64_t now = options_.clock->MonotonicNanos();
  const int64_t period = absl::ToInt64Nanoseconds(options_.tuning.keep_alive);
  // A source that failed in passing is left alone for its pause; one that ended needs no care.
  if (!ended_ && !failed_ && now >= read_not_before_ && now - kept_alive_ >= period) {
    kept_alive_ = now;
    registry::ReadResult alive = source_->Read(0, 0, absl::ZeroDuration(), abort_.token());
    // Nothing may come but lane events; a record that comes all the same is taken, not lost.
    Take(std::move(alive));
    return;
  }
  MutexLock lock(&mutex_);
  if (!awake_ && !options_.stepped) {
    absl::Duration wait = options_.tuning.keep_alive;
    const std::optional<int64_t> until = return_until_ ? return_until_ : drain_until_;
    if (until) wait = std::min(wait, absl::Nanoseconds(*until - now));
    if (ack_not_before_ > now) wait = std::min(wait, absl::Nanoseconds(ack_not_before_ - now));
    if (read_not_before_ > now) wait = std::min(wait, absl::Nanoseconds(read_not_before_ - now));
    changed_.WaitFor(&mutex_, std::max(wait, absl::Milliseconds(1)));
  }
  awake_ = false;
}

}  // namespace mfn::pipeline
