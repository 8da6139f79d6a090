// The states of a pipeline, its bounds, its lanes, and what it does with requests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/fake_clock.h"
#include "server/pipeline/test_support.h"

namespace mfn::pipeline {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

bool Is(Bench& bench, PipelineState state) {
  return Eventually([&] { return bench.runner->Status().state == state; });
}

TEST(Lifecycle, DrainUnderLoadReturnsTheRestAndARestartDeliversIt) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  std::atomic<bool> down{false};
  sink.SetAnswer([&](auto) {
    return down ? registry::WriteResult{Fault(MFN_RETRYABLE), {}} : registry::WriteResult{};
  });
  ASSERT_TRUE(bench.Make().Start().ok());
  for (int k = 0; k < 300; ++k) {
    if (k == 100) down = true;
    bench.source->Feed(k % 3, absl::StrCat("r", k), "p");
  }
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked > 0; }));
  ASSERT_TRUE(bench.runner->Drain(absl::Milliseconds(30)).ok());
  EXPECT_EQ(bench.runner->Status().state, PipelineState::kStopped);
  const Conservation counts = bench.Counts();
  EXPECT_TRUE(Bench::Balanced(counts));
  EXPECT_GT(counts.returned, 0u);
  EXPECT_EQ(counts.parked + counts.in_flight, 0u);
  EXPECT_EQ(bench.source->unacked(), 0u) << "a batch was not acked";
  down = false;
  ASSERT_TRUE(bench.runner->Start().ok());
  bench.source->End();
  ASSERT_TRUE(Is(bench, PipelineState::kFinished));
  EXPECT_EQ(sink.distinct(), 300u);
  EXPECT_THAT(bench.source->acked(), Each(Pair(testing::_, MFN_OK)));
}

TEST(Lifecycle, DrainWaitsForWhatIsInFlight) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.mutable_config().batch_timeout = absl::Seconds(60);  // draining must not wait for it
  sink.mutable_config().batch_size = 1000;
  ASSERT_TRUE(bench.Make().Start().ok());
  for (int k = 0; k < 10; ++k) bench.source->Feed(0, absl::StrCat("r", k), "p");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().received == 10; }));
  ASSERT_TRUE(bench.runner->Drain(absl::Seconds(20)).ok());
  EXPECT_EQ(bench.Counts().delivered, 10u);
  EXPECT_EQ(bench.source->acked().size(), 10u);
}

TEST(Lifecycle, AckFaultsDuringADrainLoseNoAck) {
  Bench bench;
  bench.AddSink("out");
  bench.source->FailAcks({Fault(MFN_RETRYABLE), Fault(MFN_RETRYABLE), Fault(MFN_RETRYABLE)});
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(0, "r0", "p");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().delivered == 1; }));
  ASSERT_TRUE(bench.runner->Drain(absl::ZeroDuration()).ok());
  EXPECT_THAT(bench.source->acked(), ElementsAre(Pair("r0", MFN_OK)));
}

TEST(Lifecycle, AnAckThatWasGivenUpIsTheLastOfItsLane) {
  Bench bench;
  FakeClock clock;
  WorkerPool no_threads(WorkerPool::kNoThreads);
  bench.AddSink("out").mutable_config().batch_timeout = absl::ZeroDuration();
  bench.parts.stepped = true;
  bench.parts.clock = &clock;
  bench.parts.pool = &no_threads;
  bench.parts.config.max_in_flight_records = 8;  // one record at a time
  for (const char* id : {"a", "b"}) bench.source->Feed(0, id, "p");
  Runner& runner = bench.Make();
  ASSERT_TRUE(runner.Start().ok());
  for (int k = 0; k < 2; ++k) runner.StepReader();
  while (runner.StepSink(0)) {
  }
  ASSERT_EQ(bench.Counts().delivered, 2u);
  // At first, after the pause, and when there is no time left.
  bench.source->FailAcks({Fault(MFN_RETRYABLE), Fault(MFN_RETRYABLE), Fault(MFN_RETRYABLE)});
  ASSERT_TRUE(runner.Drain(absl::ZeroDuration()).ok());
  runner.StepReader();
  clock.Advance(bench.parts.tuning.final_ack);
  while (runner.StepReader()) {
  }
  EXPECT_THAT(bench.source->acked(), testing::IsEmpty()) << "an ack of \"b\" would speak for \"a\"";
  EXPECT_EQ(runner.Status().in_flight_records, 0u);
  bench.runner.reset();
}

TEST(Lifecycle, PauseStopsReadingKeepsTheSourceAliveAndSettles) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(0, "r0", "p");
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 1; }));
  ASSERT_TRUE(bench.runner->Pause().ok());
  const uint64_t before = bench.source->keep_alives();
  ASSERT_TRUE(Eventually([&] { return bench.source->keep_alives() > before + 2; }));
  bench.source->Feed(0, "r1", "p");
  const uint64_t later = bench.source->keep_alives();
  ASSERT_TRUE(Eventually([&] { return bench.source->keep_alives() > later + 2; }));
  EXPECT_EQ(sink.durable().size(), 1u);
  ASSERT_TRUE(bench.runner->Start().ok());
  EXPECT_TRUE(Eventually([&] { return sink.durable().size() == 2; }));
}

TEST(Lifecycle, WrongTransitionsAreRefused) {
  Bench bench;
  bench.AddSink("out");
  bench.Make();
  EXPECT_EQ(bench.runner->Pause().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(bench.runner->Drain(absl::ZeroDuration()).ok());
  EXPECT_EQ(bench.runner->Status().state, PipelineState::kStopped);
  EXPECT_TRUE(bench.runner->Start().ok());
  EXPECT_TRUE(bench.runner->Start().ok()) << "starting twice is no error";
  bench.runner->Stop();
  EXPECT_EQ(bench.runner->Start().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Lifecycle, TheBoundHoldsAndReadingGoesOnAfterwards) {
  Bench bench;
  bench.parts.config.max_in_flight_records = 10;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer([](auto) { return registry::WriteResult{Fault(MFN_RETRYABLE), {}}; });
  for (int k = 0; k < 100; ++k) bench.source->Feed(k % 2, absl::StrCat("r", k), "p");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->keep_alives() > 3; }));
  EXPECT_EQ(bench.source->unacked(), 10u);
  sink.SetAnswer({});
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 100; }));
  EXPECT_LE(bench.source->most_unacked(), 10u);
}

TEST(Lifecycle, APassingReadFaultIsReportedAndOverLater) {
  Bench bench;
  bench.AddSink("out");
  bench.parts.tuning.park_initial = bench.parts.tuning.park_max = absl::Milliseconds(50);
  bench.source->FailReads({Fault(MFN_RETRYABLE, "DOWN", "no route"), Fault(MFN_AUTH, "", "key")});
  ASSERT_TRUE(bench.Make().Start().ok());
  EXPECT_TRUE(Eventually(
      [&] { return bench.runner->Status().error.find("no route") != std::string::npos; }));
  bench.source->Feed(0, "r0", "p");
  EXPECT_TRUE(Eventually([&] { return bench.source->acked().size() == 1; }));
  EXPECT_EQ(bench.runner->Status().error, "");
  EXPECT_EQ(bench.runner->Status().state, PipelineState::kRunning);
}

TEST(Lifecycle, APermanentReadFaultFailsThePipelineAfterSettling) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(0, "r0", "p");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().received == 1; }));
  bench.source->FailReads({Fault(MFN_PERMANENT, "GONE", "the table is gone")});
  ASSERT_TRUE(Is(bench, PipelineState::kFailed));
  EXPECT_THAT(bench.runner->Status().error, HasSubstr("the table is gone"));
  EXPECT_EQ(sink.durable().size(), 1u);
  EXPECT_EQ(bench.source->acked().size(), 1u);
  ASSERT_TRUE(bench.runner->Start().ok()) << "an operator may try again";
  EXPECT_EQ(bench.runner->Status().error, "");
}

TEST(Lifecycle, ARevokedLaneIsSettledAckedAndReleased) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  std::atomic<bool> down{true};
  sink.SetAnswer([&](auto) {
    return down ? registry::WriteResult{Fault(MFN_RETRYABLE), {}} : registry::WriteResult{};
  });
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(7, "r0", "p");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked == 1; }));
  bench.source->FeedEvent(7, MFN_LANE_REVOKED);
  const uint64_t writes = sink.writes();
  ASSERT_TRUE(Eventually([&] { return sink.writes() > writes + 2; }));
  EXPECT_THAT(bench.source->released_lanes(), ElementsAre());
  down = false;
  ASSERT_TRUE(Eventually([&] { return bench.source->released_lanes().size() == 1; }));
  EXPECT_THAT(bench.source->acked(), ElementsAre(Pair("r0", MFN_OK)));
}

TEST(Lifecycle, ARevokedLaneThatCannotBeSettledIsGivenBackWithinTheBound) {
  Bench bench;
  bench.parts.tuning.lane_release = absl::Milliseconds(20);
  bench.AddSink("out").SetAnswer([](auto) {
    return registry::WriteResult{Fault(MFN_RETRYABLE), {}};
  });
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(7, "r0", "p");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked == 1; }));
  ASSERT_TRUE(bench.runner->Pause().ok());
  bench.source->FeedEvent(7, MFN_LANE_REVOKED);
  ASSERT_TRUE(Eventually([&] { return bench.source->released_lanes().size() == 1; }));
  EXPECT_THAT(bench.source->acked(), ElementsAre(Pair("r0", MFN_RETRYABLE)));
  EXPECT_EQ(bench.Counts().returned, 1u);
}

TEST(Lifecycle, ALostLaneIsReturnedAtOnce) {
  Bench bench;
  bench.AddSink("out").SetAnswer([](auto) {
    return registry::WriteResult{Fault(MFN_RETRYABLE), {}};
  });
  ASSERT_TRUE(bench.Make().Start().ok());
  bench.source->Feed(7, "r0", "p");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked == 1; }));
  ASSERT_TRUE(bench.runner->Pause().ok());
  bench.source->FeedEvent(7, MFN_LANE_LOST);
  ASSERT_TRUE(Eventually([&] { return bench.Counts().returned == 1; }));
}

TEST(Simulate, AListWithOneBadItemOfThreeDeliversTwoKeepsOneAndIsAckedOnce) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  TestSink& sink = bench.AddSink("out");
  bench.source->Feed(0, "r0",
                     R"([{"request_id": "a", "grid_size": 8, "steps": 4}, {"alpha": 7, )"
                     R"("request_id": "b"}, {"request_id": "c", "grid_size": 8, "steps": 4}])");
  bench.source->End();
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Is(bench, PipelineState::kFinished));
  EXPECT_EQ(bench.Counts().received, 3u);
  EXPECT_EQ(bench.Counts().delivered, 2u);
  EXPECT_EQ(bench.Counts().dead_lettered, 1u);
  EXPECT_EQ(bench.runner->Status().records_acked, 1u);
  EXPECT_THAT(bench.source->acked(), ElementsAre(Pair("r0", MFN_PERMANENT)));
  const auto letters = bench.Letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].payload, R"({"alpha": 7, "request_id": "b"})");
  EXPECT_EQ(letters[0].item_index, 1);
  EXPECT_EQ(letters[0].sink, "");
  EXPECT_EQ(letters[0].code, "INVALID_ARGUMENT");
  EXPECT_THAT(letters[0].message, HasSubstr("alpha"));
  for (const auto& written : sink.durable()) {
    EXPECT_THAT(written.payload, HasSubstr("\"status\":\"STATUS_OK\""));
    EXPECT_THAT(written.payload, HasSubstr("\"idempotency_key\":\"" + written.key + "\""));
    EXPECT_EQ(written.content_type, "application/json");
  }
  EXPECT_EQ(sink.distinct(), 2u);
}

TEST(Simulate, ARequestWithoutSeedGivesTheSameResultWhenItIsRedelivered) {
  std::string first;
  for (int round = 0; round < 2; ++round) {
    Bench bench;
    bench.parts.config.processor = ProcessorKind::kSimulate;
    TestSink& sink = bench.AddSink("out");
    bench.source->Feed(0, "r0", R"({"grid_size": 8, "steps": 4})");
    bench.source->End();
    ASSERT_TRUE(bench.Make().Start().ok());
    ASSERT_TRUE(Is(bench, PipelineState::kFinished));
    std::string payload = sink.durable().at(0).payload;
    payload.resize(payload.find("\"timing\""));
    if (round == 0) first = payload;
    EXPECT_EQ(payload, first);
  }
}

TEST(Simulate, AStopDoesNotWaitForALongSimulation) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  bench.AddSink("out");
  bench.source->Feed(0, "r0", R"({"grid_size": 1024, "steps": 65536})");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Counts().in_flight == 1; }));
  bench.runner->Stop();
  EXPECT_EQ(bench.Counts().returned, 1u);
  EXPECT_THAT(bench.source->acked(), ElementsAre(Pair("r0", MFN_RETRYABLE)));
}

TEST(Simulate, WhatItsSourceCouldNotReadIsNotReplayed) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  store::DeadLetter letter;
  letter.payload = "the part that was read";
  letter.idempotency_key = "k";
  letter.attributes = {{MFN_ATTR_ERROR, "larger than 1 MiB"}};
  EXPECT_THAT(bench.Make().Redeliver(letter).message(), HasSubstr("larger than 1 MiB"));
  EXPECT_EQ(sink.writes(), 0u);
}

TEST(Simulate, AReplayWithOtherFeaturesThanKeptIsRefused) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer([](auto) { return registry::WriteResult{Fault(MFN_PERMANENT), {}}; });
  bench.source->Feed(0, "r0", R"({"request_id": "a", "grid_size": 8, "steps": 4})");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 1; }));
  sink.SetAnswer({});
  store::DeadLetter letter = bench.Letters().at(0);
  ASSERT_EQ(letter.feature_digest.size(), 64u);
  store::DeadLetter changed = letter;
  changed.feature_digest[0] = changed.feature_digest[0] == '0' ? '1' : '0';
  EXPECT_EQ(bench.runner->Redeliver(changed).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(sink.durable().empty());
  EXPECT_TRUE(bench.runner->Redeliver(letter).ok());
  EXPECT_THAT(sink.durable().at(0).payload, HasSubstr("\"request_id\":\"a\""));
}

}  // namespace
}  // namespace mfn::pipeline
