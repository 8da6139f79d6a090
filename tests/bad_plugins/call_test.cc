// Defects of a call's answer: they cost that call, its error says what was wrong, and the next call
// is made.
#include "absl/time/clock.h"
#include "tests/bad_plugins/bad_test.h"

namespace mfn::registry {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using CallTest = BadPluginTest;

TEST_F(CallTest, CodesThatDoNotExist) {
  const auto instance = MakeSink("unknown_code");
  const ReadResult read = Read(*instance);
  EXPECT_EQ(read.failure.code, MFN_PERMANENT);
  EXPECT_EQ(read.failure.reason, "UNKNOWN_CODE");
  EXPECT_THAT(read.failure.message, HasSubstr("code 4711, which this server does not know"));
  EXPECT_THAT(Write(*instance).failure.message, HasSubstr("code -2147483648"));
}

TEST_F(CallTest, TheEndOfASourceIsNoSuccessOfASink) {
  const auto instance = MakeSink("end_of_write");
  const WriteResult written = Write(*instance);
  EXPECT_EQ(written.failure.code, MFN_PERMANENT);
  EXPECT_THAT(written.failure.message, HasSubstr("MFN_END, which only a read may"));
  EXPECT_EQ(instance->status().records_out, 0u);
  const std::vector<mfn_record> request(1);
  EXPECT_EQ(instance->Execute(CopyRecords(request), true, {}).failure.reason, "UNKNOWN_CODE");
}

struct BadBatch {
  const char* plugin;
  std::vector<const char*> words;
};

TEST_F(CallTest, BatchesThatCannotBe) {
  const BadBatch batches[] = {
      {"null_records", {"n_records is 3 and records is NULL"}},
      {"too_many", {"n_records is 18446744073709551615, but 10 were asked for"}},
      {"null_data", {"record #0 has a length without data"}},
      {"huge_length", {"record #0", "more than 1073741824 bytes"}},
      {"wild_pointers", {"record #0", "an address that is none"}},
      {"wild_pointers", {"record #0", "an address that is none"}},
      {"wild_pointers", {"records is no address of an array"}},
      {"wild_pointers", {"record #0", "an address that is none"}},
      {"gigabytes", {"record #0", "more than 1073741824 bytes"}},
      {"many_attributes", {"record #0", "more than 1024 attributes"}},
  };
  for (const BadBatch& bad : batches) {
    SCOPED_TRACE(bad.plugin);
    const auto instance = Make(bad.plugin);
    const ReadResult read = Read(*instance);
    EXPECT_EQ(read.failure.code, MFN_PERMANENT);
    EXPECT_EQ(read.failure.reason, "BAD_BATCH");
    for (const char* words : bad.words) EXPECT_THAT(read.failure.message, HasSubstr(words));
    EXPECT_TRUE(read.batch.records().empty());
    EXPECT_EQ(instance->status().records_in, 0u);
  }
  ExpectStillServing();
}

TEST_F(CallTest, RecordsThatShareOnePieceOfMemoryAreCountedEach) {
  const auto instance = Make("overlapping");
  const ReadResult read = instance->Read(1000, 1 << 20, absl::Milliseconds(200), {});
  EXPECT_EQ(read.failure.reason, "BAD_BATCH");
  EXPECT_THAT(read.failure.message,
              HasSubstr("its records hold 1048576000 bytes, but about 1048576 were asked for"));
}

TEST_F(CallTest, ABadBatchIsReleasedOnce) {
  const auto instance = Make("null_data");
  const std::vector<mfn_record> request(1);
  const auto released = [&] {
    // The id of a sound answer counts the releases so far; the answer itself is one more later.
    return instance->Execute(CopyRecords(request), true, {}).batch.records()[0].id.data[0] - '0';
  };
  const int before = released();
  EXPECT_FALSE(Read(*instance).failure.ok());
  EXPECT_EQ(released(), (before + 2) % 10);
}

TEST_F(CallTest, OutputOfAFailedCallIsNotTouched) {
  const ReadResult read = Read(*Make("output_of_error"));
  EXPECT_EQ(read.failure.reason, "HALFWAY");
  EXPECT_TRUE(read.batch.records().empty());
}

TEST_F(CallTest, ReleaseRunsOnce) {
  const auto instance = Make("release_strict");
  ReadResult read = Read(*instance);
  ASSERT_EQ(read.batch.records().size(), 1u);
  OwnedBatch moved = std::move(read.batch);
  OwnedBatch again;
  again = std::move(moved);
  moved = std::move(again);
  ASSERT_EQ(moved.records().size(), 1u);
}

TEST_F(CallTest, ABatchMayHaveNothingToRelease) {
  EXPECT_EQ(Read(*Make("no_release")).batch.records().size(), 1u);
}

TEST_F(CallTest, BatchesWithOneAckIdAreAckedEach) {
  const auto instance = Make("same_ack_id");
  const ReadResult first = Read(*instance), second = Read(*instance);
  ASSERT_EQ(first.batch.ack_id(), second.batch.ack_id());
  EXPECT_TRUE(instance->Ack(first.batch, {}, {}).ok());
  const Failure refused = instance->Ack(second.batch, {}, {});
  EXPECT_EQ(refused.reason, "UNKNOWN_ACK");
  EXPECT_TRUE(Read(*instance).failure.ok());
}

TEST_F(CallTest, ExceptionsEndInTheWrapper) {
  const auto instance = MakeSink("wrapper_throws");
  const ReadResult read = Read(*instance);
  EXPECT_EQ(read.failure.code, MFN_PERMANENT);
  EXPECT_THAT(read.failure.message, HasSubstr("thrown in read"));
  EXPECT_TRUE(read.batch.records().empty());
  const WriteResult written = Write(*instance);
  EXPECT_EQ(written.failure.code, MFN_RETRYABLE) << "no memory now may be memory later";
  EXPECT_EQ(written.failure.reason, "OUT_OF_MEMORY");
}

TEST_F(CallTest, ExceptionsOfPlainCEndInTheHost) {
  const auto instance = MakeSink("raw_throws");
  const Failure written = Write(*instance).failure;
  EXPECT_EQ(written.code, MFN_PERMANENT);
  EXPECT_EQ(written.reason, "EXCEPTION");
  EXPECT_THAT(written.message, HasSubstr("thrown in write"));
  EXPECT_THAT(std::string(instance->Check({}).message()), HasSubstr("thrown in check"));
  ReadResult read = Read(*instance);
  EXPECT_TRUE(read.failure.ok());
  EXPECT_EQ(instance->Ack(read.batch, {}, {}).reason, "EXCEPTION") << "an int was thrown";
  read = ReadResult();
  EXPECT_EQ(log_.With("threw where it must not function=release what=thrown in release").size(),
            1u);
  InstanceConfig config = Config("raw_throws", InstanceRole::kPublisher);
  config.config_json = R"({"throw": true})";
  EXPECT_THAT(std::string(registry_->Validate(config).message()), HasSubstr("thrown in validate"));
  instance->Close(absl::Seconds(5));
  EXPECT_EQ(log_.With("threw where it must not function=destroy what=thrown in destroy").size(),
            1u);
}

TEST_F(CallTest, ACallThatNeverReturnsIsLeftAlone) {
  const auto instance = MakeSink("never_returns");
  const Failure failure = Write(*instance).failure;
  EXPECT_EQ(failure.reason, "CALL_OVERRAN") << failure.message;
  EXPECT_TRUE(Read(*instance).failure.ok()) << "its replacement serves";
  instance->Close(absl::Milliseconds(100));
}

TEST_F(CallTest, ACallThatComesBackTooLateIsNotWaitedFor) {
  const auto instance = Make("ignores_deadline");
  const ReadResult read = Read(*instance);
  EXPECT_EQ(read.failure.reason, "CALL_OVERRAN");
  EXPECT_TRUE(read.batch.records().empty());
}

TEST_F(CallTest, ADestroyThatNeverReturnsIsNotWaitedFor) {
  const auto instance = Make("slow_destroy");
  EXPECT_TRUE(Read(*instance).failure.ok());
  const absl::Time begin = absl::Now();
  instance->Close(absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(8));
  ExpectStillServing();
}

TEST_F(CallTest, AnInstanceThatIsNone) {
  ASSERT_TRUE(registry_->LoadFile(Lib("null_self")).ok());
  const auto made = registry_->CreateInstance(Config("null_self", InstanceRole::kConnector));
  EXPECT_THAT(std::string(made.status().message()),
              HasSubstr("create returned MFN_OK and no instance"));
  EXPECT_TRUE(registry_->instances().empty());
}

TEST_F(CallTest, APauseForEverIsCut) {
  const Failure failure = Write(*MakeSink("endless_pause")).failure;
  EXPECT_EQ(failure.code, MFN_THROTTLED);
  EXPECT_LE(failure.retry_after, absl::Minutes(5));
}

}  // namespace
}  // namespace mfn::registry
