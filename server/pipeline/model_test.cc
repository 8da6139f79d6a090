// A pipeline in a world of random faults, one step at a time, against what it promises.
//
// Every part (reader, workers, each publisher's writer, dead letters) takes its steps when chance
// says so, also within the calls of another part, so that the parts interleave as their threads
// would. A seed repeats its run exactly. After each step the books must balance and each account
// must be what the oracle makes of what publishers, store and source have seen; the world checks
// acks, order and at-most-once as they happen. In the end the world heals, and everything that was
// fed must have been settled.
//
//   MFN_MODEL_STEPS=1000000 pipeline_model_test     for long
//   MFN_MODEL_SEED=17 pipeline_model_test           one seed

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/pipeline/model_world.h"
#include "server/pipeline/retention.h"

namespace mfn::pipeline {
namespace {

constexpr int kStepsPerSeed = 1500;

class Model {
 public:
  explicit Model(uint64_t seed) : world_(seed) {
    world_.meanwhile = [this] { Meanwhile(); };
    StartProcess();
  }
  ~Model() {
    if (runner_ != nullptr) EndProcess(/*killed=*/true);
  }

  void Step() {
    ++steps_;
    const int what = world_.Pick(1000);
    if (what < 120) {
      world_.Feed();
    } else if (what < 800) {
      Act(what % 100);
    } else if (what < 900) {
      Advance();
    } else if (what < 940) {
      world_.ChangeWeather();
    } else if (what < 948) {
      world_.DisturbLane();
    } else if (what < 950) {
      world_.ReplaceInstance();
    } else if (what < 970) {
      PauseOrStart();
    } else if (what < 990) {
      UseLetter();
    } else if (what < 992) {
      world_.Heal();
    } else if (what < 994) {
      EndProcess(/*killed=*/true);
      StartProcess();
    } else if (what < 996) {
      EndProcess(/*killed=*/false);
      StartProcess();
    } else {
      EXPECT_TRUE(retention_->Sweep().ok());
    }
    Check();
  }

  // The world is well again: everything must come to its end.
  void Settle() {
    for (int round = 0; round < 20'000; ++round) {
      world_.Heal();
      if (runner_->Status().state != PipelineState::kRunning) StartRunner();
      bool busy = false;
      for (int part = 0; part < 4; ++part) busy = StepAll(part) || busy;
      Check();
      if (failed()) return;
      const Conservation counts = runner_->Status().counts;
      if (world_.quiet() && counts.in_flight == 0 && counts.parked == 0) return CheckRest();
      if (!busy || round % 4 == 0) world_.clock.Advance(absl::Milliseconds(50));
    }
    const PipelineStatus status = runner_->Status();
    Fail(absl::StrCat("it does not come to rest: in flight ", status.counts.in_flight, ", parked ",
                      status.counts.parked, ", unacked ", world_.unacked_records(), ", state ",
                      static_cast<int>(status.state), ": ", status.error));
  }

  void CheckEnd() {
    if (world_.settled() != world_.fed()) {
      Fail(absl::StrCat(world_.fed() - world_.settled(), " records were lost"));
    }
  }

  bool failed() const { return !world_.violations.empty(); }
  std::string report() const {
    return failed() ? absl::StrCat("step ", steps_, ": ", world_.violations.front()) : "";
  }
  uint64_t fed() const { return world_.fed(); }

 private:
  void Fail(const std::string& text) { world_.violations.push_back(text); }

  void StartProcess() {
    pool_ = std::make_unique<WorkerPool>(WorkerPool::kNoThreads);
    runner_ = std::make_unique<Runner>(world_.MakeParts(pool_.get()));
    drained_ = false;
    retention_ = std::make_unique<RetentionSweeper>(MakeRetention());
    StartRunner();
  }

  void StartRunner() {
    if (runner_->Start().ok()) world_.last_read = world_.clock.MonotonicNanos();
  }

  void EndProcess(bool killed) {
    if (killed) {
      world_.Kill();
    } else {
      Drain();
    }
    nested_ = true;  // nobody acts in a process that goes
    runner_->Stop();
    if (!killed) CheckRest();
    retention_.reset();
    runner_.reset();
    pool_.reset();
    nested_ = false;
    if (!killed) world_.Kill();  // what it has not acked comes again
  }

  RetentionSweeper::Options MakeRetention() {
    RetentionSweeper::Options options;
    options.store = world_.store();
    options.config.max_age = absl::Seconds(10 + world_.Pick(100));
    options.config.max_bytes = 400;  // some dozens of letters
    options.clock = &world_.clock;
    options.stepped = true;
    options.expired = [this](const store::ExpiredDeadLetter& letter) {
      LetterGone(world_.BatchOfExpired(letter.id), "retention",
                 [&] { runner_->Expired(letter.time); });
    };
    return options;
  }

  void Drain() {
    drained_ = true;
    world_.oracle.MayReturnAll();
    EXPECT_TRUE(runner_->Drain(absl::Milliseconds(world_.Pick(300))).ok());
    for (int k = 0; k < 2000 && runner_->Status().state == PipelineState::kDraining; ++k) {
      for (int part = 0; part < 4; ++part) StepAll(part);
      world_.clock.Advance(absl::Milliseconds(5));
      Check();
    }
    if (runner_->Status().state == PipelineState::kDraining) Fail("a drain has no end");
  }

  // What threads do while another is in a call.
  void Meanwhile() {
    if (nested_ || !world_.Chance(0.15)) return;
    nested_ = true;
    for (int k = world_.Pick(4); k > 0; --k) Act(40 + world_.Pick(60));
    nested_ = false;
  }

  void Act(int what) {
    if (what < 40) {
      Guarded(&reading_, [this] { return runner_->StepReader(); });
      CheckKeptAlive();
    } else if (what < 60) {
      runner_->StepWorker(static_cast<size_t>(world_.Pick(3)), arena_);
    } else if (what < 90) {
      StepSink(static_cast<size_t>(world_.Pick(static_cast<int>(world_.sinks.size()))));
    } else {
      Guarded(&burying_, [this] { return runner_->StepDeadLetters(); });
    }
  }

  // One thread does this, so it does not begin again within itself.
  template <typename Act>
  bool Guarded(bool* busy, Act act) {
    if (*busy) return false;
    *busy = true;
    const bool did = act();
    *busy = false;
    return did;
  }

  bool StepSink(size_t index) {
    const size_t lanes = world_.sinks.size() - (world_.letter_sink ? 1 : 0);
    if (index >= lanes) return false;
    // The error publisher comes after the sinks, and after the dead-letter publisher in the world.
    const size_t at = world_.errors && index + 1 == lanes ? world_.sinks.size() - 1 : index;
    int& busy = writing_[at];
    const int most = world_.sinks[at].deferred ? 1 : world_.sinks[at].max_in_flight;
    if (busy >= most) return false;
    ++busy;
    const bool did = runner_->StepSink(index);
    --busy;
    return did;
  }

  bool StepAll(int part) {
    bool did = false;
    if (part == 0) {
      did = Guarded(&reading_, [this] { return runner_->StepReader(); }) && false;
    } else if (part == 1) {
      while (runner_->StepWorker(0, arena_)) did = true;
    } else if (part == 2) {
      for (size_t k = 0; k < world_.sinks.size(); ++k) did = StepSink(k) || did;
    } else {
      did = Guarded(&burying_, [this] { return runner_->StepDeadLetters(); });
    }
    return did;
  }

  void Advance() {
    const int milliseconds[] = {1, 5, 20, 100, 1000, 5000};
    world_.clock.Advance(absl::Milliseconds(milliseconds[world_.Pick(6)]));
  }

  void PauseOrStart() {
    if (world_.Chance(0.3)) {
      (void)runner_->Pause();
    } else {
      StartRunner();
    }
  }

  void UseLetter() {
    const store::DeadLetter* found = world_.AnyLetter();
    if (found == nullptr) return;
    const store::DeadLetter letter = *found;
    const uint64_t batch = ModelWorld::BatchOf(letter);
    if (world_.Chance(0.3)) {
      world_.RemoveLetter(letter.id);
      LetterGone(batch, "discarded", [&] { runner_->Discarded(letter); });
      return;
    }
    nested_ = true;
    runner_->RedeliverThen(letter, [this, letter, batch](const absl::Status& status) {
      if (!status.ok() || !world_.RemoveLetter(letter.id)) return;
      LetterGone(batch, "", [&] { runner_->Replayed(letter); });
    });
    nested_ = false;
  }

  template <typename Act>
  void LetterGone(uint64_t batch, const char* cause, Act act) {
    const uint64_t before = runner_->Status().counts.dead_lettered;
    act();
    world_.oracle.LetterGone(batch, cause, before);
  }

  void Check() { Compare(/*rest=*/false); }
  void CheckRest() { Compare(/*rest=*/true); }

  void Compare(bool rest) {
    const PipelineStatus status = runner_->Status();
    if (!Bench::Balanced(status.counts)) Fail("the books do not balance");
    const std::string problem = world_.oracle.Check(status.counts, rest);
    if (!problem.empty()) Fail(problem);
    for (const auto& [cause, count] : status.counts.dropped_by_cause) CheckCause(cause);
    if (status.records_read != world_.records_read) {
      Fail(absl::StrCat(status.records_read, " records read, and it were ", world_.records_read));
    }
    if (status.records_acked != world_.records_acked) {
      Fail(absl::StrCat(status.records_acked, " acked, and it were ", world_.records_acked));
    }
    // An ack that a drain has no time for is made by nobody.
    if (drained_ ? status.in_flight_records > world_.unacked_records()
                 : status.in_flight_records != world_.unacked_records()) {
      Fail(absl::StrCat(status.in_flight_records, " records in flight, and unacked are ",
                        world_.unacked_records()));
    }
    for (const SinkStatus& sink : status.sinks) CheckQueue(sink, rest);
  }

  void CheckQueue(const SinkStatus& sink, bool rest) {
    const uint64_t least = world_.oracle.MustQueue(sink.publisher);
    if (sink.queued_records < least || (rest && sink.queued_records > 0)) {
      Fail(absl::StrCat(sink.queued_records, " are queued for ", sink.publisher,
                        ", and it must be ", rest ? 0 : least));
    }
  }

  void CheckCause(const std::string& cause) {
    bool optional = false, at_most_once = false;
    for (const ModelWorld::Sink& sink : world_.sinks) {
      optional = optional || !sink.required;
      at_most_once = at_most_once || sink.at_most_once;
    }
    const bool fine = cause == "discarded" || cause == "retention" ||
                      (optional && (cause == "overflow" || cause == "shutdown")) ||
                      (at_most_once && (cause == "at_most_once" || cause == "ack_failed" ||
                                        cause == "shutdown" || cause == "overflow"));
    if (!fine) Fail(absl::StrCat("dropped because of \"", cause, "\""));
  }

  void CheckKeptAlive() {
    const PipelineState state = runner_->Status().state;
    const bool reads = state == PipelineState::kRunning || state == PipelineState::kPaused;
    const absl::Duration since =
        absl::Nanoseconds(world_.clock.MonotonicNanos() - world_.last_read);
    if (!nested_ && reads && !world_.read_failed && since > absl::Milliseconds(100)) {
      Fail(absl::StrCat("the source was left alone for ", absl::FormatDuration(since)));
    }
  }

  ModelWorld world_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<RetentionSweeper> retention_;
  WorkerPool::Arena arena_ = std::make_unique<engine::Simulation>();
  std::map<size_t, int> writing_;
  bool nested_ = false, reading_ = false, burying_ = false, drained_ = false;
  int steps_ = 0;
};

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

TEST(Model, KeepsItsPromisesWhateverHappens) {
  const int64_t steps = FromEnvironment("MFN_MODEL_STEPS", 45'000);
  const int64_t only = FromEnvironment("MFN_MODEL_SEED", -1);
  uint64_t records = 0;
  int64_t done = 0;
  for (uint64_t seed = only >= 0 ? static_cast<uint64_t>(only) : 1; done < steps; ++seed) {
    Model model(seed);
    for (int k = 0; k < kStepsPerSeed && !model.failed(); ++k) model.Step();
    done += kStepsPerSeed;
    if (!model.failed()) model.Settle();
    if (!model.failed()) model.CheckEnd();
    ASSERT_FALSE(model.failed()) << "seed " << seed << ", " << model.report();
    records += model.fed();
    if (only >= 0) break;
  }
  RecordProperty("steps", std::to_string(done));
  RecordProperty("records", std::to_string(records));
}

}  // namespace
}  // namespace mfn::pipeline
