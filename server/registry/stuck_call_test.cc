// Calls that do not return, in every function of the ABI, through a real plugin that hangs where it
// is told to. The clock is virtual: no test waits for a deadline. What must hold: the caller gets
// its thread back, the next call gets another instance, nothing that the stuck call may touch goes
// away, and when it returns at last everything is cleaned up.
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/registry/registry.h"
#include "server/registry/stuck_fixture.h"

namespace mfn::registry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// One function of the ABI, and the call that leads to it.
struct Case {
  const char* function;
  std::function<Failure(Instance&)> call;
};

Failure FromStatus(const absl::Status& status) {
  Failure failure;
  if (status.ok()) return failure;
  failure.code = MFN_RETRYABLE;
  failure.reason = absl::StrContains(status.message(), "(CALL_OVERRAN)") ? "CALL_OVERRAN" : "other";
  failure.message = std::string(status.message());
  return failure;
}

class EveryFunctionTest : public StuckCallTest, public testing::WithParamInterface<Case> {};

TEST_P(EveryFunctionTest, IsGivenUpReplacedAndCleanedUp) {
  const Case& given = GetParam();
  auto instance = Make();
  Hang(given.function);
  const Failure failure = GiveUp([&] { return given.call(*instance); });
  EXPECT_EQ(failure.code, MFN_RETRYABLE);
  EXPECT_EQ(failure.reason, "CALL_OVERRAN");
  EXPECT_THAT(failure.message, AllOf(HasSubstr(given.function), HasSubstr("written off")));
  InstanceStatus status = instance->status();
  EXPECT_EQ(status.state, InstanceState::kQuarantined);
  EXPECT_EQ(status.overruns, 1u);
  EXPECT_EQ(status.written_off, 1u);
  EXPECT_EQ(status.stuck_calls, 1u);
  EXPECT_EQ(StuckPluginThreads(), 1);

  EXPECT_TRUE(given.call(*instance).ok()) << "the next call makes and connects another";
  status = instance->status();
  EXPECT_EQ(status.state, InstanceState::kConnected);
  EXPECT_EQ(status.replaced, 1u);
  EXPECT_EQ(Count("create"), 2);
  EXPECT_EQ(Count("destroyed"), 0) << "the stuck call still uses the first one";

  LetGo();
  Await("destroyed", 1);
  while (instance->status().stuck_calls > 0) std::this_thread::yield();
  EXPECT_EQ(instance->status().written_off, 1u);
  EXPECT_EQ(Count("destroyed"), 1) << "the second one is in use";
}

Failure ReadAndAck(Instance& instance) {
  const ReadResult result = instance.Read(1, 100, kTimeout, {});
  const std::vector<mfn_code> outcomes = {MFN_PERMANENT};
  return result.failure.ok() ? instance.Ack(result.batch, outcomes, {}) : result.failure;
}
Failure ReleaseLane(Instance& instance) {
  const ReadResult revoked = instance.Read(0, 0, kTimeout, {});
  if (!revoked.failure.ok()) return revoked.failure;
  EXPECT_EQ(revoked.batch.flags(), MFN_LANE_REVOKED);
  return instance.LaneReleased(revoked.batch.lane(), {});
}
Failure WriteOne(Instance& instance) {
  const mfn_record record = {};
  return instance.Write(CopyRecords({&record, 1}), {}).failure;
}

INSTANTIATE_TEST_SUITE_P(
    Abi, EveryFunctionTest,
    testing::Values(Case{"connect", [](Instance& it) { return FromStatus(it.Connect({})); }},
                    Case{"check", [](Instance& it) { return FromStatus(it.Check({})); }},
                    Case{"read",
                         [](Instance& it) { return it.Read(1, 100, kTimeout, {}).failure; }},
                    Case{"ack", ReadAndAck}, Case{"lane_released", ReleaseLane},
                    Case{"write", WriteOne},
                    Case{"flush",
                         [](Instance& it) {
                           const mfn_record record = {};
                           const WriteResult written = it.Write(CopyRecords({&record, 1}), {});
                           return it.Flush(written.epoch, {});
                         }},
                    Case{"execute",
                         [](Instance& it) {
                           const mfn_record record = {};
                           return it.Execute(CopyRecords({&record, 1}), false, {}).failure;
                         }}),
    [](const auto& of) { return std::string(of.param.function); });

TEST_F(StuckCallTest, ACreateThatHangsFreesTheNameAndIsDestroyedWhenItReturns) {
  Hang("create");
  const auto made = GiveUp([&] { return registry_->CreateInstance(Config()); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(made.status())) << made.status();
  EXPECT_THAT(std::string(made.status().message()),
              AllOf(HasSubstr("\"it\""), HasSubstr("create")));
  EXPECT_NE(Make(), nullptr);
  LetGo();
  Await("destroyed", 1);
  EXPECT_NE(registry_->Find("it"), nullptr);
}

TEST_F(StuckCallTest, AValidateThatHangsIsGivenUp) {
  Hang("validate");
  const absl::Status status = GiveUp([&] { return registry_->Validate(Config()); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(registry_->Validate(Config()).ok());
}

TEST_F(StuckCallTest, ADestroyThatHangsDoesNotHoldUpClose) {
  // In real time: what waits for destroy is a shutdown.
  RegistryOptions options;
  options.overrun_grace = absl::Milliseconds(1);
  registry_ = Registry::Create(options);
  ASSERT_TRUE(registry_->LoadFile(kStuckPlugin).ok());
  auto instance = Make();
  Hang("destroy");
  EXPECT_TRUE(registry_->DeleteInstance("it", absl::Milliseconds(1)).ok());
  EXPECT_EQ(instance->status().stuck_calls, 1u);
  LetGo();
  Await("destroyed", 1);
}

TEST_F(StuckCallTest, WhatAStuckWriteWasGivenStaysUntilItReturns) {
  auto instance = Make();
  Hang("write");
  GiveUp([&] { return Write(*instance, std::string(10000, 'a')); });
  LetGo();
  Await("returned", 1);
  Await("cancelled", 1);  // it was told, however late
  while (StuckPluginThreads() > 0) std::this_thread::yield();
  EXPECT_EQ(Count("written bytes"), 10000 * 'a');
}

TEST_F(StuckCallTest, WhatAStuckReadBringsIsReleased) {
  auto instance = Make();
  Hang("read");
  EXPECT_TRUE(GiveUp([&] { return Read(*instance); }).batch.records().empty());
  LetGo();
  Await("released", 1);
}

TEST_F(StuckCallTest, ACallThatIsLateButReturnsIsCountedAndUsed) {
  auto instance = Make();
  Hang("write");
  auto answer = std::async(std::launch::async, [&] { return Write(*instance); });
  Await("hung", 1);
  clock_.Advance(kTimeout + absl::Milliseconds(700));
  LetGo();
  EXPECT_TRUE(answer.get().failure.ok());
  EXPECT_EQ(instance->status().overruns, 1u);
  EXPECT_EQ(instance->status().written_off, 0u);
  EXPECT_EQ(instance->status().state, InstanceState::kConnected);
}

TEST_F(StuckCallTest, ACancelledCallThatDoesNotListenIsGivenUp) {
  auto instance = Make();
  Hang("execute");
  CancellationSource source;
  auto answer =
      std::async(std::launch::async, [&] { return Execute(*instance, "", source.token()); });
  Await("hung", 1);
  source.Cancel();
  // The caller begins the grace when it sees the cancellation, so time has to pass after that.
  while (answer.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    clock_.Advance(absl::Milliseconds(100));
  }
  const Failure failure = answer.get().failure;
  EXPECT_EQ(failure.code, MFN_CANCELLED);
  EXPECT_EQ(failure.reason, "CALL_OVERRAN");
  EXPECT_EQ(instance->status().state, InstanceState::kQuarantined);
}

TEST_F(StuckCallTest, TheNumberOfStuckCallsIsBounded) {
  auto instance = Make();
  Hang("write", 100);
  for (int i = 1; i <= 3; ++i) GiveUp([&] { return Write(*instance); }, i);
  const WriteResult refused = Write(*instance);
  EXPECT_EQ(refused.failure.code, MFN_RETRYABLE) << "it may be written later";
  EXPECT_EQ(refused.failure.reason, "TOO_MANY_STUCK_CALLS");
  EXPECT_EQ(Count("write"), 3);
  EXPECT_EQ(instance->status().stuck_calls, 3u);
  LetGo();
  while (instance->status().stuck_calls > 0) std::this_thread::yield();
  EXPECT_TRUE(Write(*instance).failure.ok());
}

TEST_F(StuckCallTest, ARetryAfterAnOverrunGoesToTheNewInstance) {
  InstanceConfig config = Config();
  config.retry.max_retries = 1;
  auto instance = Make(config);
  Hang("write");
  const WriteResult result = GiveUp([&] { return Write(*instance); });
  EXPECT_TRUE(result.failure.ok()) << result.failure.message;
  EXPECT_EQ(result.failure.attempts, 2);
  EXPECT_EQ(Count("create"), 2);
}

TEST_F(StuckCallTest, CloseLeavesAStuckCallBehind) {
  auto instance = Make();
  Hang("read");
  auto answer = std::async(std::launch::async, [&] { return Read(*instance); });
  Await("hung", 1);
  instance->Close(absl::Milliseconds(1));
  EXPECT_EQ(instance->status().state, InstanceState::kClosed);
  clock_.Advance(kTimeout + kGrace);
  EXPECT_EQ(answer.get().failure.code, MFN_CANCELLED);
  EXPECT_EQ(Count("destroyed"), 0);
  instance.reset();
  registry_.reset();
  EXPECT_EQ(StuckPluginThreads(), 1) << "it outlives everything";
  LetGo();
  Await("destroyed", 1);
}

TEST_F(StuckCallTest, ABatchOfAReplacedSourceIsNotAcked) {
  auto instance = Make();
  const ReadResult before = Read(*instance);
  Hang("read");
  GiveUp([&] { return Read(*instance); });
  EXPECT_EQ(instance->Ack(before.batch, {}, {}).reason, "INSTANCE_REPLACED");
  const ReadResult after = Read(*instance);
  ASSERT_TRUE(after.failure.ok());
  EXPECT_EQ(after.batch.ack_id(), before.batch.ack_id()) << "numbers begin again";
  EXPECT_EQ(instance->Ack(before.batch, {}, {}).reason, "INSTANCE_REPLACED");
  EXPECT_EQ(Count("ack"), 0);
  EXPECT_TRUE(instance->Ack(after.batch, {}, {}).ok());
}

TEST_F(StuckCallTest, ALaneOfAReplacedSourceIsNotReleased) {
  auto instance = Make();
  const ReadResult revoked = instance->Read(0, 0, kTimeout, {});
  Hang("read");
  GiveUp([&] { return Read(*instance); });
  EXPECT_TRUE(instance->LaneReleased(revoked.batch.lane(), {}).ok());
  EXPECT_EQ(Count("lane_released"), 0) << "the new one never had it";
  EXPECT_TRUE(ReleaseLane(*instance).ok());
  EXPECT_EQ(Count("its lane"), 1);
}

TEST_F(StuckCallTest, AFlushDoesNotCoverWhatAReplacedSinkWasGiven) {
  auto instance = Make();
  const WriteResult before = Write(*instance);
  Hang("execute");
  GiveUp([&] { return Execute(*instance, ""); });
  const WriteResult after = Write(*instance);
  const Failure flushed = instance->Flush(before.epoch, {});
  EXPECT_EQ(flushed.code, MFN_RETRYABLE);
  EXPECT_EQ(flushed.reason, "INSTANCE_REPLACED");
  EXPECT_TRUE(instance->Flush(after.epoch, {}).ok());
}

TEST_F(StuckCallTest, AFailedFlushIsEverybodysWhoWroteBefore) {
  auto instance = Make();
  const WriteResult one = Write(*instance), other = Write(*instance);
  Answer("flush", MFN_RETRYABLE);
  EXPECT_FALSE(instance->Flush(one.epoch, {}).ok());
  EXPECT_EQ(instance->Flush(other.epoch, {}).reason, "INSTANCE_REPLACED");
  EXPECT_TRUE(instance->Flush(Write(*instance).epoch, {}).ok());
}

TEST_F(StuckCallTest, CountersGoOnAndGaugesBeginAgain) {
  auto instance = Make();
  Write(*instance);
  Hang("write");
  GiveUp([&] { return Write(*instance); });
  Write(*instance);
  LetGo();
  Await("destroyed", 1);
  while (StuckPluginThreads() > 0) std::this_thread::yield();
  const auto metrics = instance->status().plugin_metrics;
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0].value, 2) << "the write that was given up counts nothing any more";
  EXPECT_EQ(metrics[1].value, 1) << "one is open";
}

TEST_F(StuckCallTest, ConnectWaitsForACallThatRuns) {
  auto instance = Make();
  ASSERT_TRUE(Write(*instance).failure.ok());
  Hang("read");
  auto reading = std::async(std::launch::async, [&] { return Read(*instance); });
  Await("hung", 1);
  Answer("write", MFN_NOT_CONNECTED);
  EXPECT_EQ(Write(*instance).failure.code, MFN_NOT_CONNECTED);
  auto writing = std::async(std::launch::async, [&] { return Write(*instance); });
  EXPECT_EQ(writing.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_EQ(Count("connect"), 1) << "nothing runs beside connect";
  LetGo();
  EXPECT_TRUE(reading.get().failure.ok());
  EXPECT_TRUE(writing.get().failure.ok());
  EXPECT_EQ(Count("connect"), 2);
}

}  // namespace
}  // namespace mfn::registry
