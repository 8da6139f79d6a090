// Dead letters: how many are kept at once, what is said of each, and what a replay is made of.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/fake_clock.h"
#include "server/base/log.h"
#include "server/base/log_limit.h"
#include "server/pipeline/dead_letter_writer.h"
#include "server/pipeline/test_support.h"

namespace mfn::pipeline {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// The process's log while it lives.
class Lines final : public LogSink {
 public:
  using Line = std::map<std::string, std::string>;
  Lines() { SetLogSink(this); }
  ~Lines() override { SetLogSink(nullptr); }
  void Write(LogLevel, absl::string_view, absl::string_view message,
             std::initializer_list<LogField> fields) override {
    if (message != "an item is kept as a dead letter") return;
    Line line;
    for (const auto& [name, value] : fields) line[std::string(name)] = value;
    MutexLock lock(&mutex_);
    lines_.push_back(std::move(line));
  }
  std::vector<Line> get() const {
    MutexLock lock(&mutex_);
    return lines_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<Line> lines_ ABSL_GUARDED_BY(mutex_);
};

class Letters : public testing::Test {
 protected:
  Letters() {
    DeadLetterWriter::Options options;
    options.pipeline = "main";
    options.store = bench_.letters.get();
    options.clock = &clock_;
    options.stepped = true;
    DeadLetterWriter::Events events;
    events.kept = [this](const Casualty&) { ++kept_; };
    events.lost = [](const Casualty&) {};
    events.parked = events.unparked = [](const ItemPtr&) {};
    events.trouble = [](const std::string&) {};
    writer_ = std::make_unique<DeadLetterWriter>(options, events);
  }

  void Put(int number, absl::string_view bytes) {
    Casualty casualty;
    casualty.item = std::make_shared<Item>();
    casualty.item->key = absl::StrCat("key", number);
    casualty.item->request_id = absl::StrCat("request", number);
    casualty.item->record_id = absl::StrCat("record", number);
    casualty.item->bytes = bytes;
    casualty.sink = "out";
    casualty.code = "PERMANENT";
    casualty.reason = "TOO_LONG";
    casualty.message = "the name is too long";
    EXPECT_TRUE(writer_->Put(std::move(casualty)));
  }
  // How many are kept by each step.
  std::vector<int> Steps() {
    std::vector<int> steps;
    for (int before = kept_; writer_->Step(); before = kept_) steps.push_back(kept_ - before);
    return steps;
  }

  Bench bench_;
  FakeClock clock_;
  int kept_ = 0;
  std::unique_ptr<DeadLetterWriter> writer_;
};

TEST_F(Letters, AHundredAreKeptAtOnce) {
  for (int k = 0; k < 250; ++k) Put(k, "small");
  EXPECT_THAT(Steps(), ElementsAre(100, 100, 50));
}

TEST_F(Letters, LargeOnesAreKeptByTheirBytes) {
  const std::string large(size_t{6} << 20, 'x');
  for (int k = 0; k < 7; ++k) Put(k, large);
  EXPECT_THAT(Steps(), ElementsAre(3, 3, 1)) << "a batch ends with the one that reaches 16 MiB";
}

TEST_F(Letters, EachHasALineThatNamesItAndWhy) {
  const Lines lines;
  Put(1, "small");
  Put(2, "small");
  Steps();
  ASSERT_THAT(lines.get(), SizeIs(2));
  const Lines::Line line = lines.get()[1];
  EXPECT_EQ(line.at("pipeline"), "main");
  EXPECT_EQ(line.at("request_id"), "request2");
  EXPECT_EQ(line.at("record_id"), "record2");
  EXPECT_EQ(line.at("sink"), "out");
  EXPECT_EQ(line.at("reason"), "TOO_LONG");
  EXPECT_EQ(line.at("error"), "the name is too long");
}

TEST_F(Letters, AStormOfThemDoesNotFloodTheLog) {
  const Lines lines;
  for (int k = 0; k < 1000; ++k) Put(k, "small");
  Steps();
  EXPECT_THAT(lines.get(), SizeIs(LogLimit::kBurst));
  clock_.Advance(absl::Seconds(1));
  Put(1000, "small");
  Steps();
  ASSERT_THAT(lines.get(), SizeIs(LogLimit::kBurst + 1));
  EXPECT_EQ(lines.get().back().at("lines_left_out"), absl::StrCat(1000 - LogLimit::kBurst));
}

TEST(Replay, ARecordKeepsItsOwnKeyAndTime) {
  Bench bench;
  std::vector<std::string> keys;
  std::vector<int64_t> times;
  std::vector<bool> keyed;
  bench.AddSink("out").SetAnswer([&](absl::Span<const mfn_record> records) {
    for (const mfn_record& record : records) {
      keyed.push_back(record.key.data != nullptr);
      keys.emplace_back(View(record.key));
      times.push_back(record.time_unix_ns);
    }
    return registry::WriteResult();
  });
  Runner& runner = bench.Make();
  store::DeadLetter letter;
  letter.payload = "p";
  letter.idempotency_key = "k";
  letter.time = absl::FromUnixSeconds(2000);  // when it was given up: not the record's
  letter.record_key = std::string("a\0b", 3);
  letter.record_time = absl::FromUnixNanos(1'234'567'890'123'456'789);
  ASSERT_TRUE(runner.Redeliver(letter).ok());
  letter.record_key.reset();
  letter.record_time.reset();
  ASSERT_TRUE(runner.Redeliver(letter).ok());
  EXPECT_THAT(keyed, ElementsAre(true, false));
  EXPECT_EQ(keys[0], std::string("a\0b", 3));
  EXPECT_THAT(times, ElementsAre(1'234'567'890'123'456'789, MFN_TIME_ABSENT));
}

}  // namespace
}  // namespace mfn::pipeline
