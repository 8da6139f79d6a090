// Runner, second part: what is done with dead letters later.

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/pipeline/runner.h"

namespace mfn::pipeline {
namespace {

constexpr absl::Duration kReplayBound = absl::Seconds(60);

// Collects the outcomes of one letter's writes; shared with callbacks that may come after the wait
// is over.
class Outcomes {
 public:
  explicit Outcomes(int expected) : open_(expected) {}

  void Add(const absl::Status& status) {
    MutexLock lock(&mutex_);
    --open_;
    if (result_.ok()) result_ = status;
    changed_.NotifyAll();
  }

  absl::Status Wait(Clock* clock) {
    const int64_t until = clock->MonotonicNanos() + absl::ToInt64Nanoseconds(kReplayBound);
    MutexLock lock(&mutex_);
    while (open_ > 0) {
      const int64_t left = until - clock->MonotonicNanos();
      if (left <= 0) return absl::DeadlineExceededError("the publisher did not answer in time");
      changed_.WaitFor(&mutex_, absl::Nanoseconds(left));
    }
    return result_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int open_ ABSL_GUARDED_BY(mutex_);
  absl::Status result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status Runner::Redeliver(const store::DeadLetter& letter) {
  std::vector<SinkWriter*> targets;
  for (const auto& sink : sinks_) {
    if (letter.sink.empty() || sink->name() == letter.sink) targets.push_back(sink.get());
  }
  if (targets.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("pipeline \"", parts_.config.name,
                                                      "\" has no publisher \"", letter.sink,
                                                      "\" any more; discard the letter"));
  }
  auto item = std::make_shared<Item>();
  item->storage = letter.payload;
  item->key = letter.idempotency_key;
  item->record_id = letter.record_id;
  item->index = letter.item_index;
  item->attributes = letter.attributes;
  processor_.DecodeOne(item.get());
  engine::Simulation arena;
  double seconds = 0;
  const absl::Status made = processor_.Process(item.get(), &arena, &seconds);
  simulate_nanos_ += static_cast<int64_t>(seconds * 1e9);
  if (!made.ok()) return made;
  if (!letter.feature_digest.empty() && letter.feature_digest != item->output.digest) {
    return absl::FailedPreconditionError(
        absl::StrCat("the features of this engine (", absl::string_view(kEngineRevision),
                     ") differ from those of the failed delivery; discard the letter and send the "
                     "request anew"));
  }
  auto outcomes = std::make_shared<Outcomes>(static_cast<int>(targets.size()));
  for (SinkWriter* sink : targets) {
    sink->Replay(item, [outcomes](const absl::Status& status) { outcomes->Add(status); });
  }
  return outcomes->Wait(parts_.clock);
}

void Runner::Replayed(const store::DeadLetter& letter) {
  ++replayed_;
  Reenter(letter, Account::kDelivered, "");
}

void Runner::Discarded(const store::DeadLetter& letter) {
  Reenter(letter, Account::kDropped, "discarded");
}

// A letter of this run moves within the books; one from before enters them now.
void Runner::Reenter(const store::DeadLetter& letter, Account to, absl::string_view cause) {
  if (letter.time >= made_ && ledger_.Move(Account::kDeadLettered, to, 1, cause) == 1) return;
  ledger_.Receive(1);
  ledger_.Move(Account::kInFlight, to, 1, cause);
}

}  // namespace mfn::pipeline
