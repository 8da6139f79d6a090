// What delivery promises when publishers fail: nothing lost, every record acked once and in order.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/pipeline/test_support.h"

namespace mfn::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

registry::WriteResult All(mfn_code code) { return {Fault(code, "TEST_FAULT", "as told"), {}}; }

// Refuses the records with this payload, by index, and takes the others.
TestSink::Answer Refuse(const std::string& payload, mfn_code code) {
  return [payload, code](absl::Span<const mfn_record> records) {
    registry::WriteResult result;
    for (size_t k = 0; k < records.size(); ++k) {
      if (View(records[k].payload) == payload) {
        result.failed.push_back({k, Fault(code, "BAD_RECORD", "this one")});
      }
    }
    return result;
  };
}

void FeedMany(Bench& bench, int count, int lanes = 3) {
  for (int k = 0; k < count; ++k) {
    bench.source->Feed(k % lanes, absl::StrCat("r", k), absl::StrCat("p", k));
  }
}

TEST(Delivery, PassesBytesThroughWithKeyAndAcksEveryRecordOnce) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  FeedMany(bench, 100);
  bench.source->End();
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; }));
  EXPECT_EQ(sink.durable().size(), 100u);
  EXPECT_EQ(sink.distinct(), 100u);
  const PipelineStatus status = bench.runner->Status();
  EXPECT_EQ(status.counts.delivered, 100u);
  EXPECT_EQ(status.records_read, 100u);
  EXPECT_EQ(status.records_acked, 100u);
  EXPECT_EQ(bench.source->acked().size(), 100u);
  EXPECT_TRUE(Eventually([&] { return bench.source->batches_alive() == 0; })) << "batch kept";
}

TEST(Delivery, AnUnorderedLaneIsAckedAtOnce) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  bench.source->set_unordered(true);
  sink.SetAnswer(Refuse("p0", MFN_RETRYABLE));
  bench.source->Feed(1, "r0", "p0");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked == 1; }));
  bench.source->Feed(1, "r1", "p1");
  EXPECT_TRUE(Eventually([&] { return bench.source->acked().count("r1") == 1; }));
  EXPECT_EQ(bench.source->acked().count("r0"), 0u);
  sink.SetAnswer({});
  EXPECT_TRUE(Eventually([&] { return bench.source->acked().size() == 2; }));
}

TEST(Delivery, AnOutageParksAndRecoversWithoutLoss) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer([](auto) { return All(MFN_NOT_CONNECTED); });
  FeedMany(bench, 50);
  bench.source->End();
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked > 0 && sink.writes() > 5; }));
  EXPECT_EQ(bench.Counts().dead_lettered, 0u);
  EXPECT_TRUE(bench.source->acked().empty());
  sink.SetAnswer({});
  ASSERT_TRUE(Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; }));
  EXPECT_EQ(bench.Counts().delivered, 50u);
  EXPECT_EQ(sink.distinct(), 50u);
}

TEST(Delivery, ARecordFaultIsDeadLetteredBeforeTheAck) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer(Refuse("p1", MFN_PERMANENT));
  std::atomic<bool> open{false}, asked{false};
  bench.letters->SetGate([&] {
    asked = true;
    EXPECT_TRUE(bench.source->acked().empty());
    return open ? absl::OkStatus() : absl::ResourceExhaustedError("disk full");
  });
  FeedMany(bench, 3, 1);
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return asked && bench.Counts().parked == 1; }));
  EXPECT_THAT(bench.runner->Status().error, HasSubstr("disk full"));
  EXPECT_TRUE(bench.source->acked().empty());
  open = true;
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 3; }));
  EXPECT_THAT(
      bench.source->acked(),
      UnorderedElementsAre(Pair("r0", MFN_OK), Pair("r1", MFN_PERMANENT), Pair("r2", MFN_OK)));
  const auto letters = bench.Letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].sink, "out");
  EXPECT_EQ(letters[0].payload, "p1");
  EXPECT_EQ(letters[0].record_id, "r1");
  EXPECT_EQ(letters[0].code, "PERMANENT");
  EXPECT_EQ(letters[0].reason, "BAD_RECORD");
  EXPECT_EQ(bench.Counts().dead_lettered, 1u);
  EXPECT_EQ(bench.Counts().delivered, 2u);
  EXPECT_EQ(bench.runner->Status().error, "");
}

TEST(Delivery, ABatchThatIsRefusedAsAWholeIsTriedOneByOne) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer([](absl::Span<const mfn_record> records) {
    for (const mfn_record& record : records) {
      if (View(record.payload) == "p3") return All(MFN_PERMANENT);
    }
    return registry::WriteResult{};
  });
  FeedMany(bench, 20, 1);
  bench.source->End();
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; }));
  EXPECT_EQ(bench.Counts().delivered, 19u);
  EXPECT_EQ(bench.Counts().dead_lettered, 1u);
  EXPECT_EQ(sink.durable().size(), 19u);
}

TEST(Delivery, OneItemThatNeverGetsThroughIsDeadLetteredAfterTenRoundsOfOthers) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer(Refuse("p0", MFN_RETRYABLE));
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(9, "r0", "p0");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked == 1; }));
  int fed = 1;
  ASSERT_TRUE(Eventually([&] {
    bench.source->Feed(1, absl::StrCat("r", fed), absl::StrCat("p", fed));
    ++fed;
    return bench.Counts().dead_lettered == 1;
  }));
  EXPECT_GE(fed, 10);
  const auto letters = bench.Letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].code, "RETRYABLE");
  EXPECT_GE(letters[0].attempts, 10);
}

TEST(Delivery, TwentyRefusalsInARowPauseInsteadOfDeadLetteringTheRest) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer([](auto) { return All(MFN_PERMANENT); });
  FeedMany(bench, 60);
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] {
    return bench.runner->Status().state == PipelineState::kPaused &&
           bench.Counts().dead_lettered == 19;
  }));
  EXPECT_THAT(bench.runner->Status().error, HasSubstr("refused 20 records in a row"));
  sink.SetAnswer({});
  bench.source->End();
  ASSERT_TRUE(bench.runner->Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; }));
  EXPECT_EQ(bench.Counts().delivered, 41u);
  EXPECT_EQ(bench.Counts().dead_lettered, 19u);
}

TEST(Delivery, ADeferredPublisherCountsAfterTheFlushOnly) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.set_deferred(true);
  std::atomic<int> flushes{0};
  sink.SetFlushAnswer([&] {
    EXPECT_EQ(bench.Counts().delivered, 0u) << "delivered before a flush succeeded";
    return ++flushes < 4 ? Fault(MFN_RETRYABLE) : registry::Failure();
  });
  FeedMany(bench, 5);
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return flushes == 4; }));
  sink.SetFlushAnswer({});
  ASSERT_TRUE(Eventually([&] { return bench.Counts().delivered == 5; }));
  EXPECT_EQ(sink.distinct(), 5u);
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 5; }));
}

TEST(Delivery, AnOptionalPublisherNeverStallsTheOthers) {
  Bench bench;
  bench.parts.config.max_in_flight_records = 16;
  TestSink& good = bench.AddSink("good");
  TestSink& down = bench.AddSink("down", /*required=*/false);
  bench.parts.config.sinks[1].queue_records = 16;
  down.SetAnswer([](auto) { return All(MFN_RETRYABLE); });
  FeedMany(bench, 200);
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 200; }));
  EXPECT_EQ(good.distinct(), 200u);
  ASSERT_TRUE(Eventually([&] { return bench.Counts().dropped >= 200 - 16; }));
  const Conservation counts = bench.Counts();
  EXPECT_TRUE(Bench::Balanced(counts));
  EXPECT_EQ(counts.dropped_by_cause.at("overflow"), counts.dropped);
  down.SetAnswer({});
  ASSERT_TRUE(Eventually([&] { return bench.Counts().delivered + bench.Counts().dropped == 200; }));
}

TEST(Delivery, AnAtMostOncePublisherIsWrittenAfterTheAckAndLosesWithACause) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.mutable_config().delivery = DeliveryGuarantee::kAtMostOnce;
  sink.mutable_config().batch_size = 1;
  std::atomic<int> unacked_writes{0};
  sink.SetAnswer([&](absl::Span<const mfn_record> records) {
    const std::string id = absl::StrCat("r", View(records[0].payload).substr(1));
    if (bench.source->acked().count(id) == 0) ++unacked_writes;
    return View(records[0].payload) == "p3" ? All(MFN_RETRYABLE) : registry::WriteResult{};
  });
  FeedMany(bench, 30);
  bench.source->End();
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; }));
  EXPECT_EQ(unacked_writes, 0);
  EXPECT_EQ(bench.Counts().delivered, 29u);
  EXPECT_THAT(bench.Counts().dropped_by_cause, ElementsAre(Pair("at_most_once", 1u)));
  EXPECT_EQ(sink.writes(), 30u) << "written again";
}

TEST(Delivery, DeadLettersMayGoToAPublisherAsErrorEnvelopes) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  auto graveyard = std::make_shared<TestSink>("graveyard");
  bench.parts.dead_letters = graveyard;
  bench.parts.config.dead_letter_publisher = "graveyard";
  std::atomic<int> tries{0};
  graveyard->SetAnswer(
      [&](auto) { return ++tries < 3 ? All(MFN_RETRYABLE) : registry::WriteResult{}; });
  sink.SetAnswer(Refuse("\xff", MFN_PERMANENT));
  bench.source->Feed(0, "r0", "\xff");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 1; }));
  ASSERT_EQ(graveyard->durable().size(), 1u);
  const std::string payload = graveyard->durable()[0].payload;
  EXPECT_THAT(payload, HasSubstr("STATUS_ERROR"));
  EXPECT_THAT(payload, HasSubstr("\"request_base64\":\"/w==\""));
  EXPECT_TRUE(bench.Letters().empty());
}

TEST(Delivery, WhatTheDeadLetterPublisherRefusesGoesToTheStore) {
  Bench bench;
  bench.AddSink("out").SetAnswer(Refuse("p0", MFN_PERMANENT));
  auto graveyard = std::make_shared<TestSink>("graveyard");
  graveyard->SetAnswer([](auto) { return All(MFN_PERMANENT); });
  bench.parts.dead_letters = graveyard;
  FeedMany(bench, 1);
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 1; }));
  EXPECT_EQ(bench.Letters().size(), 1u);
}

TEST(Delivery, ReplayGoesToTheFailedPublisherOnlyAndKeepsTheKey) {
  Bench bench;
  TestSink& good = bench.AddSink("good");
  TestSink& bad = bench.AddSink("bad");
  bad.SetAnswer(Refuse("p1", MFN_PERMANENT));
  FeedMany(bench, 3);
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 3; }));
  const auto letters = bench.Letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_FALSE(bench.runner->Redeliver(letters[0]).ok());
  EXPECT_EQ(bench.Letters().size(), 1u);
  bad.SetAnswer({});
  ASSERT_TRUE(bench.runner->Redeliver(letters[0]).ok());
  bench.runner->Replayed(letters[0]);
  EXPECT_EQ(good.durable().size(), 3u);
  EXPECT_EQ(bad.durable().back().key, letters[0].idempotency_key);
  EXPECT_EQ(bad.durable().back().payload, "p1");
  EXPECT_EQ(bench.Counts().delivered, 3u);
  EXPECT_EQ(bench.Counts().dead_lettered, 0u);
  EXPECT_EQ(bench.runner->Status().replayed, 1u);
  EXPECT_TRUE(Bench::Balanced(bench.Counts()));
}

// Random faults of every kind, a watcher that checks the equation all the while, and at the end
// every request is with the publisher, in the store, or both.
class RandomFaults : public testing::TestWithParam<int> {};

TEST_P(RandomFaults, LoseNothingAndBalanceAlways) {
  Bench bench;
  bench.parts.config.max_in_flight_records = 40;
  bench.parts.tuning.permanent_alarm = 1000;
  TestSink& first = bench.AddSink("first");
  TestSink& second = bench.AddSink("second");
  second.set_deferred(true);
  Mutex mutex;
  std::mt19937 chance(GetParam());
  const auto dice = [&](int sides) {
    MutexLock lock(&mutex);
    return static_cast<int>(chance() % sides);
  };
  const auto answer = [&](absl::Span<const mfn_record> records) {
    const mfn_code codes[] = {MFN_RETRYABLE, MFN_PERMANENT, MFN_THROTTLED, MFN_NOT_CONNECTED};
    registry::WriteResult result;
    if (dice(4) == 0) return All(codes[dice(4)]);
    for (size_t k = 0; k < records.size(); ++k) {
      if (dice(8) == 0) result.failed.push_back({k, Fault(codes[dice(4)])});
    }
    return result;
  };
  first.SetAnswer(answer);
  second.SetAnswer(answer);
  second.SetFlushAnswer([&] { return dice(4) == 0 ? Fault(MFN_RETRYABLE) : registry::Failure(); });
  bench.letters->SetGate(
      [&] { return dice(3) == 0 ? absl::ResourceExhaustedError("full") : absl::OkStatus(); });
  bench.source->FailReads({Fault(MFN_RETRYABLE), Fault(MFN_THROTTLED)});
  bench.source->FailAcks({Fault(MFN_RETRYABLE), Fault(MFN_NOT_CONNECTED), Fault(MFN_RETRYABLE)});
  FeedMany(bench, 400, 4);
  bench.source->End();
  bench.Make();
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    while (!done) EXPECT_TRUE(Bench::Balanced(bench.Counts()));
  });
  ASSERT_TRUE(bench.runner->Start().ok());
  const bool finished =
      Eventually([&] { return bench.runner->Status().state == PipelineState::kFinished; });
  done = true;
  watcher.join();
  ASSERT_TRUE(finished) << "seed " << GetParam();
  const Conservation counts = bench.Counts();
  EXPECT_EQ(counts.received, 400u);
  EXPECT_EQ(counts.delivered + counts.dead_lettered, 400u);
  EXPECT_LE(bench.source->most_unacked(), 40u);
  EXPECT_EQ(bench.source->acked().size(), 400u);
  for (const auto& sink : bench.sinks) {
    std::set<std::string> there;
    for (const auto& written : sink->durable()) there.insert(written.key);
    for (const store::DeadLetter& letter : bench.Letters()) {
      if (letter.sink == sink->name()) there.insert(letter.idempotency_key);
    }
    EXPECT_EQ(there.size(), 400u) << sink->name() << ", seed " << GetParam();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFaults, testing::Range(1, 9));

}  // namespace
}  // namespace mfn::pipeline
