// The memory plugin as the server runs it: the real shared object, through the real registry and
// the guarded path, on a virtual clock.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/fake_clock.h"
#include "server/registry/registry.h"

namespace mfn::registry {
namespace {

using testing::HasSubstr;

std::string PayloadOf(const mfn_record& record) {
  return std::string(reinterpret_cast<const char*>(record.payload.data), record.payload.len);
}

mfn_bytes BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class MemoryPluginTest : public testing::Test {
 protected:
  MemoryPluginTest() {
    RegistryOptions options;
    options.clock = &clock_;
    options.sleeper = &clock_;
    options.random = &random_;
    registry_ = Registry::Create(options);
    const absl::Status status = registry_->LoadFile(MFN_MEMORY_PLUGIN);
    EXPECT_TRUE(status.ok()) << status;
    queue_ = absl::StrCat(testing::UnitTest::GetInstance()->current_test_info()->name());
  }

  // `more`: members of the configuration after queue, with a leading comma.
  InstanceConfig Config(const std::string& name, InstanceRole role, const std::string& more = "") {
    InstanceConfig config;
    config.name = name;
    config.role = role;
    config.type = "memory";
    config.retry.jitter = JitterKind::kNone;
    config.config_json = absl::StrCat(R"({"queue": ")", queue_, "\"", more, "}");
    return config;
  }
  std::shared_ptr<Instance> Make(const InstanceConfig& config) {
    auto instance = registry_->CreateInstance(config);
    EXPECT_TRUE(instance.ok()) << instance.status();
    return instance.ok() ? *instance : nullptr;
  }
  std::shared_ptr<Instance> Source(const std::string& more = "") {
    return Make(Config(absl::StrCat("source", ++made_), InstanceRole::kConnector, more));
  }
  std::shared_ptr<Instance> Sink(const std::string& more = "") {
    return Make(Config(absl::StrCat("sink", ++made_), InstanceRole::kPublisher, more));
  }
  WriteResult Write(Instance& sink, const std::vector<std::string>& payloads) {
    std::vector<mfn_record> records;
    for (const std::string& payload : payloads) {
      mfn_record record = {};
      record.payload = BytesOf(payload);
      record.time_unix_ns = MFN_TIME_ABSENT;
      records.push_back(record);
    }
    return sink.Write(CopyRecords(records), {});
  }
  std::vector<std::string> Payloads(const ReadResult& result) {
    std::vector<std::string> payloads;
    for (const mfn_record& record : result.batch.records()) payloads.push_back(PayloadOf(record));
    return payloads;
  }
  ReadResult Read(Instance& source, uint64_t max = 10) {
    return source.Read(max, 1 << 20, absl::ZeroDuration(), {});
  }

  FakeClock clock_;
  FakeRandom random_{{0.0}};
  std::unique_ptr<Registry> registry_;
  std::string queue_;
  int made_ = 0;
};

TEST_F(MemoryPluginTest, WhatASinkWroteASourceReads) {
  auto sink = Sink();
  auto source = Source();
  ASSERT_TRUE(Write(*sink, {"a", "b"}).failure.ok());
  const ReadResult result = Read(*source);
  ASSERT_TRUE(result.failure.ok()) << result.failure.message;
  EXPECT_THAT(Payloads(result), testing::ElementsAre("a", "b"));
  EXPECT_TRUE(source->Ack(result.batch, {}, {}).ok());
  EXPECT_TRUE(Read(*source).batch.records().empty());
  EXPECT_EQ(sink->status().records_out, 2u);
  EXPECT_EQ(source->status().records_in, 2u);
}

TEST_F(MemoryPluginTest, InlineRequestsAreEmittedAndTheSourceEnds) {
  auto source = Source(R"(, "requests": [{"a": {"b": "}"}}, "x\u00e4\ud83d\ude00\n"], "repeat": 2,
                 "end_when_empty": true)");
  const ReadResult result = Read(*source);
  EXPECT_THAT(Payloads(result),
              testing::ElementsAre("{\"a\": {\"b\": \"}\"}}", "x\xC3\xA4\xF0\x9F\x98\x80\n",
                                   "{\"a\": {\"b\": \"}\"}}", "x\xC3\xA4\xF0\x9F\x98\x80\n"));
  EXPECT_FALSE(Read(*source).end) << "records are not acked yet";
  EXPECT_TRUE(source->Ack(result.batch, {}, {}).ok());
  EXPECT_TRUE(Read(*source).end);
}

TEST_F(MemoryPluginTest, ARecordAckedRetryableComesBackAndOthersDoNot) {
  auto sink = Sink();
  auto source = Source();
  Write(*sink, {"a", "b", "c"});
  const ReadResult result = Read(*source);
  const std::vector<mfn_code> outcomes = {MFN_OK, MFN_RETRYABLE, MFN_PERMANENT};
  EXPECT_TRUE(source->Ack(result.batch, outcomes, {}).ok());
  EXPECT_THAT(Payloads(Read(*source)), testing::ElementsAre("b"));
}

TEST_F(MemoryPluginTest, ClosingASourceReturnsWhatWasNotAckedInOrder) {
  auto sink = Sink();
  Write(*sink, {"a", "b", "c"});
  {
    auto source = Source();
    EXPECT_EQ(Payloads(Read(*source, 2)).size(), 2u);
    EXPECT_EQ(Payloads(Read(*source, 1)).size(), 1u);
    EXPECT_TRUE(registry_->DeleteInstance(source->name(), absl::Seconds(1)).ok());
  }
  EXPECT_THAT(Payloads(Read(*Source())), testing::ElementsAre("a", "b", "c"));
}

TEST_F(MemoryPluginTest, ABatchOutlivesItsClosedInstance) {
  auto sink = Sink();
  Write(*sink, {"kept"});
  auto source = Source();
  ReadResult result = Read(*source);
  source->Close(absl::Seconds(1));
  EXPECT_THAT(Payloads(result), testing::ElementsAre("kept"));
  EXPECT_TRUE(Read(*Source()).batch.records().empty()) << "destroyed before the release";
  result.batch = OwnedBatch();
  EXPECT_THAT(Payloads(Read(*Source())), testing::ElementsAre("kept"));
}

TEST_F(MemoryPluginTest, APassingFaultIsRetriedWithBackoff) {
  auto sink = Sink(R"(, "fail_every": 1, "fail_times": 2)");
  EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  EXPECT_THAT(clock_.sleeps(),
              testing::ElementsAre(absl::Milliseconds(100), absl::Milliseconds(200)));
  EXPECT_EQ(sink->status().attempts, 3u);
  EXPECT_EQ(sink->status().retries, 2u);
  EXPECT_EQ(sink->status().last_error, "");
}

TEST_F(MemoryPluginTest, AnAtMostOncePublisherGetsARecordOnceOnly) {
  InstanceConfig config =
      Config("sink", InstanceRole::kPublisher, R"(, "fail_every": 1, "fail_times": 1)");
  config.delivery = DeliveryGuarantee::kAtMostOnce;
  auto sink = Make(config);
  const WriteResult result = Write(*sink, {"a"});
  EXPECT_EQ(result.failure.code, MFN_RETRYABLE);
  EXPECT_EQ(result.failure.attempts, 1);
  EXPECT_TRUE(Write(*sink, {"b"}).failure.ok());
}

TEST_F(MemoryPluginTest, APermanentFaultIsNotRetried) {
  auto sink = Sink(R"(, "fail_every": 1, "fail_code": "PERMANENT")");
  const WriteResult result = Write(*sink, {"a"});
  EXPECT_EQ(result.failure.code, MFN_PERMANENT);
  EXPECT_EQ(result.failure.reason, "INJECTED");
  EXPECT_EQ(result.failure.attempts, 1);
  EXPECT_THAT(sink->status().last_error, HasSubstr("INJECTED"));
}

TEST_F(MemoryPluginTest, RetryAfterIsWaitedFor) {
  auto sink = Sink(
      R"(, "fail_every": 1, "fail_times": 1, "fail_code": "THROTTLED", "retry_after_ms": 7000)");
  EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  EXPECT_THAT(clock_.sleeps(), testing::ElementsAre(absl::Seconds(7)));
}

TEST_F(MemoryPluginTest, ALostSessionIsConnectedAgainAndUnackedRecordsComeBack) {
  auto sink = Sink();
  Write(*sink, {"a", "b"});
  auto source = Source(R"(, "fail_every": 2, "fail_times": 1, "fail_code": "NOT_CONNECTED")");
  EXPECT_THAT(Payloads(Read(*source, 1)), testing::ElementsAre("a"));
  EXPECT_THAT(Payloads(Read(*source)), testing::ElementsAre("a", "b"));
}

TEST_F(MemoryPluginTest, TheBreakerOpensRejectsAndRecovers) {
  InstanceConfig config =
      Config("sink", InstanceRole::kPublisher, R"(, "fail_every": 1, "fail_times": 5)");
  config.retry.max_retries = 0;
  config.breaker.threshold = 5;
  config.breaker.timeout = absl::Seconds(60);
  auto sink = Make(config);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Write(*sink, {"a"}).failure.attempts, 1);
  EXPECT_EQ(sink->status().breaker, BreakerState::kOpen);
  const WriteResult rejected = Write(*sink, {"a"});
  EXPECT_EQ(rejected.failure.code, MFN_RETRYABLE);
  EXPECT_EQ(rejected.failure.reason, "BREAKER_OPEN");
  EXPECT_EQ(rejected.failure.attempts, 0);
  EXPECT_EQ(rejected.failure.retry_after, absl::Seconds(60));
  clock_.Advance(absl::Seconds(61));
  EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  const InstanceStatus status = sink->status();
  EXPECT_EQ(status.breaker, BreakerState::kClosed);
  EXPECT_EQ(status.breaker_opened, 1u);
  EXPECT_EQ(status.rejected, 1u);
  EXPECT_EQ(status.attempts, 6u);
}

TEST_F(MemoryPluginTest, TheOperatorSaysWhatAFailureIs) {
  const char* refuses = R"(, "fail_every": 1, "fail_times": 1, "fail_code": "PERMANENT")";
  InstanceConfig config = Config("by-reason", InstanceRole::kPublisher, refuses);
  config.retry.overrides = {{"PERMANENT", FailureClass::kAuth},
                            {"INJECTED", FailureClass::kRetryable}};
  const WriteResult by_reason = Write(*Make(config), {"a"});
  EXPECT_TRUE(by_reason.failure.ok()) << by_reason.failure.reason;
  EXPECT_EQ(by_reason.failure.attempts, 2);
  config.name = "by-code";
  config.retry.overrides = {{"PERMANENT", FailureClass::kRetryable}};
  EXPECT_EQ(Write(*Make(config), {"a"}).failure.attempts, 2);
  config = Config("harder", InstanceRole::kPublisher, R"(, "fail_every": 1)");
  config.retry.overrides = {{"INJECTED", FailureClass::kPermanent}};
  const WriteResult harder = Write(*Make(config), {"a"});
  EXPECT_EQ(harder.failure.code, MFN_PERMANENT) << "what decides between park and dead letter";
  EXPECT_EQ(harder.failure.attempts, 1);
}

TEST_F(MemoryPluginTest, AnOperatorControlsTheBreaker) {
  InstanceConfig config =
      Config("sink", InstanceRole::kPublisher, R"(, "fail_every": 1, "fail_times": 10)");
  config.retry.max_retries = 0;
  auto sink = Make(config);
  sink->ControlBreaker(BreakerAction::kForceOpen);
  EXPECT_EQ(Write(*sink, {"a"}).failure.reason, "BREAKER_FORCED_OPEN");
  EXPECT_EQ(sink->status().breaker, BreakerState::kOpen);
  EXPECT_EQ(sink->status().breaker_control, BreakerControl::kForcedOpen);
  sink->ControlBreaker(BreakerAction::kDisable);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Write(*sink, {"a"}).failure.attempts, 1);
  EXPECT_EQ(sink->status().breaker_control, BreakerControl::kDisabled);
  sink->ControlBreaker(BreakerAction::kReset);
  EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  EXPECT_EQ(sink->status().breaker_control, BreakerControl::kAutomatic);
  EXPECT_EQ(sink->status().attempt_time.count, 11u);
}

TEST_F(MemoryPluginTest, WhatIsPresentedAgainIsRetriedWithoutBudget) {
  InstanceConfig config = Config("sink", InstanceRole::kPublisher, R"(, "fail_every": 2)");
  config.retry.budget = 1;
  auto sink = Make(config);
  EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  EXPECT_EQ(Write(*sink, {"b"}).failure.attempts, 1) << "one token buys no retry";
  EXPECT_EQ(sink->status().budget_exhausted, 1u);
  EXPECT_TRUE(Write(*sink, {"c"}).failure.ok());
  mfn_record record = {};
  record.time_unix_ns = MFN_TIME_ABSENT;
  SharedRecords again = CopyRecords({&record, 1});
  again.presented_again = true;
  EXPECT_EQ(sink->Write(again, {}).failure.attempts, 2);
}

TEST_F(MemoryPluginTest, TheRateLimitIsTheInstances) {
  InstanceConfig config = Config("sink", InstanceRole::kPublisher);
  config.rate_limit = {2, 1};
  auto sink = Make(config);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  EXPECT_THAT(clock_.sleeps(),
              testing::ElementsAre(absl::Milliseconds(500), absl::Milliseconds(500)));
}

TEST_F(MemoryPluginTest, AFullQueueIsAPassingFault) {
  InstanceConfig config = Config("sink", InstanceRole::kPublisher, R"(, "capacity": 1)");
  config.retry.max_retries = 0;
  auto sink = Make(config);
  EXPECT_TRUE(Write(*sink, {"a"}).failure.ok());
  const WriteResult full = Write(*sink, {"b"});
  EXPECT_EQ(full.failure.code, MFN_RETRYABLE);
  EXPECT_EQ(full.failure.reason, "QUEUE_FULL");
}

TEST_F(MemoryPluginTest, ExecuteListsAndTakes) {
  auto sink = Sink();
  Write(*sink, {"a", "b"});
  auto source = Source();
  const auto execute = [&](const std::string& request) {
    mfn_record record = {};
    record.payload = BytesOf(request);
    return source->Execute(CopyRecords({&record, 1}), true, {});
  };
  EXPECT_THAT(Payloads(execute(R"({"op": "list"})")), testing::ElementsAre("a", "b"));
  EXPECT_THAT(Payloads(execute(R"({"op": "take", "max": 1})")), testing::ElementsAre("a"));
  EXPECT_THAT(Payloads(execute(absl::StrCat(R"({"op": "list", "queue": ")", queue_, "\"}"))),
              testing::ElementsAre("b"));
  EXPECT_EQ(execute(R"({"op": "drop"})").failure.code, MFN_PERMANENT);
  EXPECT_EQ(execute("no JSON").failure.reason, "BAD_REQUEST");
}

TEST_F(MemoryPluginTest, ConfigurationErrorsNameTheField) {
  const auto error = [&](const std::string& more) {
    return std::string(
        registry_->Validate(Config("api", InstanceRole::kConnector, more)).message());
  };
  EXPECT_THAT(error(R"(, "colour": "red")"),
              testing::AllOf(HasSubstr("\"api\": /colour"), HasSubstr("unknown field"),
                             HasSubstr("capacity")));
  EXPECT_THAT(error(R"(, "capacity": 0)"),
              testing::AllOf(HasSubstr("/capacity: "), HasSubstr("\"minimum\":1")));
  EXPECT_THAT(error(R"(, "requests": [1])"), HasSubstr("/requests/0: "));
  EXPECT_THAT(error(R"(, "requests": ["a","b"], "repeat": 1000000, "capacity": "x")"),
              testing::AllOf(HasSubstr("/capacity: wrong type"), HasSubstr("integer")));
  InstanceConfig config = Config("api", InstanceRole::kConnector);
  config.config_json = "{}";
  EXPECT_THAT(std::string(registry_->Validate(config).message()), HasSubstr("/queue: required"));
}

TEST_F(MemoryPluginTest, SecretsAreRedacted) {
  const InstanceConfig config =
      Config("api", InstanceRole::kConnector, R"(, "token": "hunter2", "capacity": 7)");
  const std::string text = registry_->Redacted(config);
  EXPECT_THAT(text, testing::Not(HasSubstr("hunter2")));
  EXPECT_THAT(text, testing::AllOf(HasSubstr("REDACTED"), HasSubstr("7")));
}

TEST_F(MemoryPluginTest, NamesAreUniqueAndFreeAgainAfterDeletion) {
  Make(Config("one", InstanceRole::kConnector));
  EXPECT_TRUE(absl::IsAlreadyExists(
      registry_->CreateInstance(Config("one", InstanceRole::kConnector)).status()));
  EXPECT_TRUE(registry_->DeleteInstance("one", absl::Seconds(1)).ok());
  EXPECT_EQ(registry_->Find("one"), nullptr);
  EXPECT_NE(Make(Config("one", InstanceRole::kConnector)), nullptr);
}

TEST_F(MemoryPluginTest, AClosedInstanceAnswersCancelled) {
  auto sink = Sink();
  sink->Close(absl::Seconds(1));
  const WriteResult result = Write(*sink, {"a"});
  EXPECT_EQ(result.failure.code, MFN_CANCELLED);
  EXPECT_EQ(result.failure.reason, "INSTANCE_CLOSED");
  EXPECT_EQ(sink->status().state, InstanceState::kClosed);
}

TEST_F(MemoryPluginTest, NothingIsLostAmongManyThreadsWithFaultsAndReconnects) {
  auto sink = Sink(R"(, "fail_every": 7, "fail_code": "NOT_CONNECTED")");
  auto source = Source(R"(, "fail_every": 11)");
  constexpr int kThreads = 4, kWrites = 100;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kWrites; ++i) {
        while (!Write(*sink, {"x"}).failure.ok()) clock_.Advance(absl::Minutes(11));
        EXPECT_TRUE(sink->Check({}).ok());
        sink->status();
      }
    });
  }
  int read = 0;
  while (read < kThreads * kWrites) {
    const ReadResult result = Read(*source);
    if (!result.failure.ok()) clock_.Advance(absl::Minutes(11));
    const int n = static_cast<int>(result.batch.records().size());
    if (n > 0) {
      EXPECT_TRUE(source->Ack(result.batch, {}, {}).ok());
    }
    read += n;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(read, kThreads * kWrites);
  EXPECT_EQ(sink->status().records_out, static_cast<uint64_t>(kThreads * kWrites));
}

}  // namespace
}  // namespace mfn::registry
