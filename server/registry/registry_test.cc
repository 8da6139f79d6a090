// Loading, and plugins that lie, with a real shared object. One per defect: tests/bad_plugins.
#include "server/registry/registry.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/fake_clock.h"
#include "server/store/state_store.h"
#include "server/store/store.h"

namespace mfn::registry {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::string Lib(const std::string& name) { return absl::StrCat(MFN_TESTDATA "/", name, ".so"); }

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() {
    std::string pattern = testing::TempDir() + "mfn-registry-XXXXXX";
    dir_ = mkdtemp(pattern.data());
    chmod(dir_.c_str(), 0755);
    RegistryOptions options;
    options.clock = &clock_;
    options.sleeper = &clock_;
    options.random = &random_;
    auto store = store::Store::Open(dir_ + "/state");
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    options.state = &store_->state();
    registry_ = Registry::Create(options);
  }
  ~RegistryTest() override {
    registry_.reset();
    fs::remove_all(dir_);
  }
  InstanceConfig Config(const std::string& mode, InstanceRole role = InstanceRole::kConnector) {
    InstanceConfig config;
    config.name = absl::StrCat("instance", ++made_);
    config.type = "defect";
    config.role = role;
    config.retry.jitter = JitterKind::kNone;
    config.config_json = absl::StrCat(R"({"mode":")", mode, "\"}");
    return config;
  }
  std::shared_ptr<Instance> Make(const std::string& mode,
                                 InstanceRole role = InstanceRole::kConnector) {
    EXPECT_TRUE(registry_->LoadFile(Lib("sound")).ok());
    auto instance = registry_->CreateInstance(Config(mode, role));
    EXPECT_TRUE(instance.ok()) << instance.status();
    return *instance;
  }
  ReadResult Read(const std::string& mode) {
    return Make(mode)->Read(10, 1 << 20, absl::ZeroDuration(), {});
  }

  std::string dir_;
  FakeClock clock_;
  FakeRandom random_{{0.0}};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Registry> registry_;
  int made_ = 0;
};

TEST_F(RegistryTest, DirectoriesThatAreRefused) {
  const auto error = [&](const std::string& dir) {
    return std::string(registry_->LoadDirectory(dir, nullptr).message());
  };
  EXPECT_THAT(error(dir_ + "/none"), AllOf(HasSubstr(dir_ + "/none"), HasSubstr("No such")));
  std::ofstream(dir_ + "/file") << "x";
  EXPECT_THAT(error(dir_ + "/file"), HasSubstr("not a directory"));
  chmod(dir_.c_str(), 0777);
  EXPECT_THAT(error(dir_), AllOf(HasSubstr("writable"), HasSubstr("chmod")));
  chmod(dir_.c_str(), 0755);
  EXPECT_EQ(error(dir_), "");
}

TEST_F(RegistryTest, FilesThatAreNoPluginsAreReportedAndTheOthersLoad) {
  std::ofstream(dir_ + "/text.so") << "not a library";
  std::ofstream(dir_ + "/notes.txt") << "ignored";
  fs::create_directory(dir_ + "/folder.so");
  fs::copy(Lib("sound"), dir_ + "/sound.so");
  std::vector<LoadError> errors;
  ASSERT_TRUE(registry_->LoadDirectory(dir_, &errors).ok());
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_THAT(std::string(errors[0].status.message()), HasSubstr("not a regular file"));
  EXPECT_THAT(std::string(errors[1].status.message()),
              AllOf(HasSubstr("text.so"), HasSubstr("no ELF header")));
  ASSERT_EQ(registry_->plugins().size(), 1u);
  EXPECT_EQ(registry_->plugins()[0].id, "org.example.defect");
  EXPECT_TRUE(registry_->LoadFile(dir_ + "/sound.so").ok()) << "again is no harm";
  EXPECT_EQ(registry_->plugins().size(), 1u);
}

TEST_F(RegistryTest, ATypeIsOfferedOnce) {
  ASSERT_TRUE(registry_->LoadFile(Lib("sound")).ok());
  fs::copy(Lib("sound"), dir_ + "/copy.so");
  const absl::Status status = registry_->LoadFile(dir_ + "/copy.so");
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("offered by plugin org.example.defect"));
}

TEST_F(RegistryTest, AnUnknownTypeNamesTheKnownOnes) {
  ASSERT_TRUE(registry_->LoadFile(Lib("sound")).ok());
  const absl::Status status = registry_->FindComponent("telepathy").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("telepathy"), HasSubstr("defect")));
}

TEST_F(RegistryTest, TheComponentsOwnValidateNamesTheField) {
  ASSERT_TRUE(registry_->LoadFile(Lib("sound")).ok());
  EXPECT_THAT(std::string(registry_->CreateInstance(Config("loud!")).status().message()),
              HasSubstr("/mode: must not shout"));
}

TEST_F(RegistryTest, BatchesThatCannotBeAreRefusedAndReleased) {
  const auto releases = [&] { return *Read("count").batch.records()[0].payload.data - '0'; };
  const int before = releases();
  for (const char* mode : {"null_records", "too_many", "null_data", "huge"}) {
    const ReadResult result = Read(mode);
    EXPECT_EQ(result.failure.code, MFN_PERMANENT) << mode;
    EXPECT_EQ(result.failure.reason, "BAD_BATCH") << mode;
    EXPECT_TRUE(result.batch.records().empty()) << mode;
  }
  EXPECT_EQ(releases(), before + 5) << "four bad batches, and the one that told the count";
}

TEST_F(RegistryTest, AnUnknownCodeIsPermanent) {
  const ReadResult result = Read("unknown_code");
  EXPECT_EQ(result.failure.code, MFN_PERMANENT);
  EXPECT_EQ(result.failure.attempts, 1);
  EXPECT_THAT(result.failure.message, HasSubstr("4711"));
}

TEST_F(RegistryTest, AReadWhoseTimeIsUpIsFineUnlessItsCallerGaveUp) {
  EXPECT_TRUE(Read("cancelled").failure.ok());
  CancellationSource source;
  source.Cancel();
  EXPECT_EQ(Make("cancelled")->Read(1, 1, absl::ZeroDuration(), source.token()).failure.code,
            MFN_CANCELLED);
}

TEST_F(RegistryTest, AFailuresTextIsMadeFitForTheServer) {
  const ReadResult result = Read("bad_text");
  EXPECT_EQ(result.failure.reason, "BAD?");
  EXPECT_EQ(result.failure.message, "line break \xC3\xA4 ???");
}

TEST_F(RegistryTest, APluginsMetricsAreSummed) {
  auto instance = Make("fine");
  for (int i = 0; i < 3; ++i) instance->Read(1, 1, absl::ZeroDuration(), {});
  const auto metrics = instance->status().plugin_metrics;
  ASSERT_EQ(metrics.size(), 1u);
  EXPECT_EQ(metrics[0].name, "reads");
  EXPECT_FALSE(metrics[0].gauge);
  EXPECT_EQ(metrics[0].value, 3.0);
}

TEST_F(RegistryTest, OnlyTheRecordsThatMayYetSucceedAreWrittenAgain) {
  auto sink = Make("partial", InstanceRole::kPublisher);
  const std::vector<mfn_record> records(4);
  const WriteResult result = sink->Write(CopyRecords(records), {});
  EXPECT_TRUE(result.failure.ok()) << result.failure.message;
  ASSERT_EQ(result.failed.size(), 1u);
  EXPECT_EQ(result.failed[0].index, 1u);
  EXPECT_EQ(result.failed[0].failure.reason, "REFUSED");
  EXPECT_EQ(sink->status().attempts, 2u);
  EXPECT_EQ(sink->status().records_out, 3u);
}

TEST_F(RegistryTest, ARefusedBatchIsOneFailureAndNotMany) {
  const std::vector<mfn_record> records(3);
  const WriteResult result =
      Make("refuse", InstanceRole::kPublisher)->Write(CopyRecords(records), {});
  EXPECT_EQ(result.failure.code, MFN_PERMANENT);
  EXPECT_TRUE(result.failed.empty());
}

TEST_F(RegistryTest, StateBelongsToTheInstancesName) {
  const auto instance = Make("fine");
  mfn_record request = {};
  const std::string key = "cursor", value = "42";
  request.key = {reinterpret_cast<const uint8_t*>(key.data()), key.size()};
  request.payload = {reinterpret_cast<const uint8_t*>(value.data()), value.size()};
  EXPECT_EQ(instance->Execute(CopyRecords({&request, 1}), true, {}).batch.records()[0].payload.len,
            0u);
  EXPECT_EQ(instance->Execute(CopyRecords({&request, 1}), true, {}).batch.records()[0].payload.len,
            2u);
  EXPECT_EQ(*store_->state().Get(instance->name(), "cursor"), "42");
}

}  // namespace
}  // namespace mfn::registry
