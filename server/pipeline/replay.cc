// Runner, second part: what is done with dead letters later.

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/pipeline/runner.h"

namespace mfn::pipeline {
namespace {

constexpr absl::Duration kReplayBound = absl::Seconds(60);

// Joins the outcomes of one letter's writes.
class Outcomes {
 public:
  Outcomes(int expected, std::function<void(const absl::Status&)> done)
      : done_(std::move(done)), open_(expected) {}

  void Add(const absl::Status& status) {
    absl::Status result;
    {
      MutexLock lock(&mutex_);
      if (result_.ok()) result_ = status;
      if (--open_ > 0) return;
      result = result_;
    }
    done_(result);
  }

 private:
  const std::function<void(const absl::Status&)> done_;
  Mutex mutex_;
  int open_ ABSL_GUARDED_BY(mutex_);
  absl::Status result_ ABSL_GUARDED_BY(mutex_);
};

// Shared with a callback that may come after the wait is over.
class Outcome {
 public:
  void Set(const absl::Status& status) {
    MutexLock lock(&mutex_);
    result_ = status;
    changed_.NotifyAll();
  }

  absl::Status Wait(Clock* clock) {
    const int64_t until = clock->MonotonicNanos() + absl::ToInt64Nanoseconds(kReplayBound);
    MutexLock lock(&mutex_);
    while (!result_) {
      const int64_t left = until - clock->MonotonicNanos();
      if (left <= 0) return absl::DeadlineExceededError("the publisher did not answer in time");
      changed_.WaitFor(&mutex_, absl::Nanoseconds(left));
    }
    return *result_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::optional<absl::Status> result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status Runner::Redeliver(const store::DeadLetter& letter) {
  auto outcome = std::make_shared<Outcome>();
  RedeliverThen(letter, [outcome](const absl::Status& status) { outcome->Set(status); });
  return outcome->Wait(parts_.clock);
}

void Runner::RedeliverThen(const store::DeadLetter& letter,
                           std::function<void(const absl::Status&)> done) {
  std::vector<SinkWriter*> targets;
  for (const auto& sink : sinks_) {
    if (letter.sink.empty() || sink->name() == letter.sink) targets.push_back(sink.get());
  }
  if (targets.empty()) {
    return done(absl::FailedPreconditionError(absl::StrCat("pipeline \"", parts_.config.name,
                                                           "\" has no publisher \"", letter.sink,
                                                           "\" any more; discard the letter")));
  }
  auto item = std::make_shared<Item>();
  item->storage = letter.payload;
  item->key = letter.idempotency_key;
  item->record_id = letter.record_id;
  item->index = letter.item_index;
  item->attributes = letter.attributes;
  item->has_partition_key = letter.record_key.has_value();
  item->partition_key = letter.record_key.value_or("");
  if (letter.record_time) item->time_unix_ns = absl::ToUnixNanos(*letter.record_time);
  processor_.DecodeOne(item.get());
  const std::string revision(item->job != nullptr ? RevisionOf(*item->job) : kEngineRevision);
  engine::Simulation arena;
  double seconds = 0;
  const absl::Status made = processor_.Process(item.get(), &arena, &seconds);
  simulate_nanos_ += static_cast<int64_t>(seconds * 1e9);
  if (!made.ok()) return done(made);
  if (!letter.feature_digest.empty() && letter.feature_digest != item->output.digest) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("the features of this engine (", revision,
                     ") differ from those of the failed delivery; discard the letter and send the "
                     "request anew")));
  }
  auto outcomes = std::make_shared<Outcomes>(static_cast<int>(targets.size()), std::move(done));
  for (SinkWriter* sink : targets) {
    sink->Replay(item, [outcomes](const absl::Status& status) { outcomes->Add(status); });
  }
}

void Runner::Replayed(const store::DeadLetter& letter) {
  ++replayed_;
  Reenter(letter.time, Account::kDelivered, "");
}

void Runner::Discarded(const store::DeadLetter& letter) {
  Reenter(letter.time, Account::kDropped, "discarded");
}

void Runner::Expired(absl::Time letter_time) {
  Reenter(letter_time, Account::kDropped, "retention");
}

// A letter of this run moves within the books; one from before enters them now.
void Runner::Reenter(absl::Time letter_time, Account to, absl::string_view cause) {
  if (letter_time >= made_ && ledger_.Move(Account::kDeadLettered, to, 1, cause) == 1) return;
  ledger_.Receive(1);
  ledger_.Move(Account::kInFlight, to, 1, cause);
}

}  // namespace mfn::pipeline
