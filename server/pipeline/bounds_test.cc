// Bounds: what may be in flight, what may wait for a publisher, and what becomes of the rest.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/pipeline/test_support.h"

namespace mfn::pipeline {
namespace {

using nlohmann::json;
using testing::HasSubstr;

registry::WriteResult All(mfn_code code) { return {Fault(code, "TEST_FAULT", "as told"), {}}; }

std::string Request(int size, int steps) {
  return absl::StrCat(R"({"grid_size": )", size, R"(, "steps": )", steps, "}");
}

TEST(Bounds, TheCostOfWhatIsInFlightStopsReading) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  bench.parts.config.max_in_flight_cost = 5 * 8 * 8 * 10;
  TestSink& sink = bench.AddSink("out");
  sink.SetAnswer([](auto) { return All(MFN_RETRYABLE); });
  for (int k = 0; k < 100; ++k) bench.source->Feed(0, absl::StrCat("r", k), Request(8, 10));
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] {
    return bench.runner->Status().in_flight_cost >= 5 * 8 * 8 * 10 &&
           bench.source->keep_alives() > 5;
  }));
  EXPECT_LE(bench.source->most_unacked(), 6u) << "the bound and what the first guess was off by";
  sink.SetAnswer({});
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 100; }));
  EXPECT_EQ(bench.Counts().delivered, 100u);
  EXPECT_EQ(bench.runner->Status().in_flight_cost, 0u);
}

TEST(Bounds, OneRequestMayCostMoreThanTheBound) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  bench.parts.config.max_in_flight_cost = 1;
  bench.AddSink("out");
  for (int k = 0; k < 5; ++k) bench.source->Feed(0, absl::StrCat("r", k), Request(8, 10));
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 5; }));
  EXPECT_EQ(bench.source->most_unacked(), 1u);
}

TEST(Bounds, AListWeighsMoreThanItsText) {
  const Processor processor(ProcessorKind::kSimulate, "main", "test/in");
  TestSource source("in");
  std::string list = "[1";
  for (int k = 1; k < 100; ++k) list += ",1";
  source.Feed(0, "r", list + "]");
  const Intake intake = processor.Decode(source.Read(1, 1 << 20, {}, Cancellation()).batch);
  ASSERT_EQ(intake.items.size(), 100u);
  EXPECT_GT(intake.batch->records[0].bytes, 99u * 1000);
}

TEST(Bounds, AQueueIsBoundedInBytesToo) {
  Bench bench;
  bench.AddSink("good");
  TestSink& down = bench.AddSink("down", /*required=*/false);
  bench.parts.config.sinks[1].queue_bytes = 1000;
  down.SetAnswer([](auto) { return All(MFN_RETRYABLE); });
  for (int k = 0; k < 50; ++k) {
    bench.source->Feed(0, absl::StrCat("r", k), std::string(300, 'x'));
  }
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 50; }));
  ASSERT_TRUE(Eventually([&] { return bench.Counts().dropped == 46; })) << "4 * 300 > 1000";
  const SinkStatus status = bench.runner->Status().sinks.at(1);
  EXPECT_EQ(status.publisher, "down");
  EXPECT_EQ(status.queued_records, 4u);
  EXPECT_EQ(status.queued_bytes, 1200u);
}

TEST(Bounds, OverflowIsDeadLetteredByChoice) {
  Bench bench;
  TestSink& good = bench.AddSink("good");
  TestSink& down = bench.AddSink("down", /*required=*/false);
  bench.parts.config.sinks[1].queue_records = 10;
  bench.parts.config.sinks[1].overflow = OverflowPolicy::kDeadLetter;
  down.SetAnswer([](auto) { return All(MFN_RETRYABLE); });
  for (int k = 0; k < 100; ++k) bench.source->Feed(0, absl::StrCat("r", k), absl::StrCat("p", k));
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Letters().size() == 90; }));
  EXPECT_TRUE(Eventually([&] { return good.distinct() == 100; }));
  EXPECT_EQ(bench.Letters()[0].sink, "down");
  EXPECT_EQ(bench.Letters()[0].reason, "QUEUE_OVERFLOW");
  ASSERT_TRUE(Eventually([&] { return bench.Counts().dead_lettered == 90; }));
  EXPECT_EQ(bench.Counts().dropped, 0u);
  const PipelineStatus status = bench.runner->Status();
  EXPECT_EQ(status.dead_letters, 90);
  EXPECT_GT(status.dead_letter_bytes, 90);
}

TEST(Bounds, AFullStoreDoesNotLetTheOverflowGrowOrStall) {
  Bench bench;
  bench.parts.config.max_in_flight_records = 8;
  TestSink& good = bench.AddSink("good");
  TestSink& down = bench.AddSink("down", /*required=*/false);
  bench.parts.config.sinks[1].queue_records = 4;
  bench.parts.config.sinks[1].overflow = OverflowPolicy::kDeadLetter;
  down.SetAnswer([](auto) { return All(MFN_RETRYABLE); });
  bench.letters->SetGate([] { return absl::ResourceExhaustedError("disk full"); });
  for (int k = 0; k < 100; ++k) bench.source->Feed(0, absl::StrCat("r", k), absl::StrCat("p", k));
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 100; }));
  EXPECT_EQ(good.distinct(), 100u);
  EXPECT_TRUE(Eventually([&] { return bench.Counts().dropped == 100 - 8 - 4; }));
  EXPECT_TRUE(Bench::Balanced(bench.Counts()));
}

TEST(Errors, TheRequesterIsToldOncePerRequestBeforeTheAck) {
  Bench bench;
  bench.parts.config.processor = ProcessorKind::kSimulate;
  bench.AddSink("out");
  auto errors = std::make_shared<TestSink>("errors");
  bench.parts.errors = errors;
  std::atomic<bool> open{false};
  errors->SetAnswer([&](auto) { return open ? registry::WriteResult{} : All(MFN_RETRYABLE); });
  bench.source->Feed(0, "r0", R"({"request_id": "mine", "grid_size": 1})");
  bench.source->Feed(0, "r1", Request(8, 1));
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Counts().parked == 1; }));
  EXPECT_EQ(bench.Letters().size(), 1u) << "kept first";
  EXPECT_TRUE(bench.source->acked().empty()) << "the answer is still owed";
  open = true;
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 2; }));
  EXPECT_EQ(bench.source->acked().at("r0"), MFN_PERMANENT);
  ASSERT_EQ(errors->durable().size(), 1u);
  const json envelope = json::parse(errors->durable()[0].payload);
  EXPECT_EQ(envelope["request_id"], "mine");
  EXPECT_EQ(envelope["status"], "STATUS_ERROR");
  EXPECT_EQ(envelope["error"]["field"], "grid_size");
  EXPECT_EQ(envelope["idempotency_key"], bench.Letters()[0].idempotency_key);
  EXPECT_EQ(errors->durable()[0].key, bench.Letters()[0].idempotency_key);
  EXPECT_EQ(errors->durable()[0].content_type, "application/json");
  const Conservation counts = bench.Counts();
  EXPECT_EQ(counts.dead_lettered, 1u);
  EXPECT_EQ(counts.delivered, 1u);
}

TEST(Errors, TwoPublishersThatRefuseMakeOneEnvelope) {
  Bench bench;
  bench.AddSink("a").SetAnswer([](auto) { return All(MFN_PERMANENT); });
  bench.AddSink("b").SetAnswer([](auto) { return All(MFN_PERMANENT); });
  auto errors = std::make_shared<TestSink>("errors");
  bench.parts.errors = errors;
  bench.source->Feed(0, "r0", "p0");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 1; }));
  EXPECT_EQ(bench.Letters().size(), 2u);
  EXPECT_EQ(errors->durable().size(), 1u);
}

TEST(Errors, AnOptionalPublishersRefusalIsNoFailureOfTheRequest) {
  Bench bench;
  bench.AddSink("out");
  bench.AddSink("extra", /*required=*/false).SetAnswer([](auto) { return All(MFN_PERMANENT); });
  auto errors = std::make_shared<TestSink>("errors");
  bench.parts.errors = errors;
  bench.source->Feed(0, "r0", "p0");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Counts().dead_lettered == 1; }));
  ASSERT_TRUE(bench.runner->Drain(absl::Seconds(20)).ok());
  EXPECT_EQ(bench.source->acked().at("r0"), MFN_OK);
  EXPECT_EQ(errors->writes(), 0u);
}

TEST(Writes, APublisherThatTakesSeveralAtOnceGetsThem) {
  Bench bench;
  TestSink& sink = bench.AddSink("out");
  sink.mutable_config().batch_size = 1;
  sink.set_max_in_flight(3);
  std::atomic<int> now{0}, most{0};
  sink.SetAnswer([&](auto) {
    most = std::max(most.load(), ++now);
    EXPECT_TRUE(Eventually([&] { return most == 3; }));
    --now;
    return registry::WriteResult{};
  });
  for (int k = 0; k < 30; ++k) bench.source->Feed(0, absl::StrCat("r", k), absl::StrCat("p", k));
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.source->acked().size() == 30; }));
  EXPECT_EQ(most, 3);
  EXPECT_EQ(sink.distinct(), 30u);
}

}  // namespace
}  // namespace mfn::pipeline
