// Upgrades in place, all or none, and what is refused.
#include "server/store/schema.h"

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/store/test_directory.h"

namespace mfn::store {
namespace {

using testing::HasSubstr;

constexpr SchemaStep kFirst = {1, "CREATE TABLE t (a); INSERT INTO t VALUES (5)"};
constexpr SchemaStep kSecond = {2, "ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a * 2"};
constexpr SchemaStep kBroken = {3, "UPDATE t SET b = 0; SELECT nonsense FROM nowhere"};

class SchemaTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    database_.reset();
    auto opened = Database::Open(directory_.File("s.db"));
    ASSERT_TRUE(opened.ok()) << opened.status();
    database_ = *std::move(opened);
  }

  TestDirectory directory_;
  std::unique_ptr<Database> database_;
};

TEST_F(SchemaTest, AnOlderDatabaseGetsTheStepsItLacks) {
  ASSERT_TRUE(UpgradeSchema(*database_, {kFirst}).ok());
  Reopen();
  const SchemaStep steps[] = {kFirst, kSecond};
  ASSERT_TRUE(UpgradeSchema(*database_, steps).ok());
  EXPECT_EQ(*database_->QueryInt("SELECT b FROM t"), 10);
  EXPECT_EQ(*database_->QueryInt("SELECT count(*) FROM t"), 1) << "step 1 was not repeated";
  EXPECT_EQ(*database_->QueryInt("PRAGMA user_version"), 2);
  EXPECT_TRUE(UpgradeSchema(*database_, steps).ok());
}

TEST_F(SchemaTest, AFailedStepLeavesTheOldVersion) {
  ASSERT_TRUE(UpgradeSchema(*database_, {kFirst}).ok());
  const SchemaStep steps[] = {kFirst, kSecond, kBroken};
  const absl::Status status = UpgradeSchema(*database_, steps);
  EXPECT_THAT(std::string(status.message()), HasSubstr("upgrade to version 3"));
  EXPECT_EQ(*database_->QueryInt("PRAGMA user_version"), 1);
  EXPECT_FALSE(database_->QueryInt("SELECT b FROM t").ok()) << "step 2 was undone too";
}

TEST_F(SchemaTest, ANewerDatabaseIsRefused) {
  const SchemaStep steps[] = {kFirst, kSecond};
  ASSERT_TRUE(UpgradeSchema(*database_, steps).ok());
  const absl::Status status = UpgradeSchema(*database_, {kFirst});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("schema version 2"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(directory_.File("s.db")));
}

TEST_F(SchemaTest, AnotherProgramsDatabaseIsRefused) {
  ASSERT_TRUE(database_->ExecuteScript("CREATE TABLE theirs (a)").ok());
  const absl::Status status = UpgradeSchema(*database_, {kFirst});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(*database_->QueryInt("SELECT count(*) FROM sqlite_master"), 1);
}

TEST_F(SchemaTest, LettersOfTheFirstVersionSurviveTheUpgrade) {
  ASSERT_TRUE(UpgradeSchema(*database_, SchemaSteps().first(1)).ok());
  ASSERT_TRUE(database_
                  ->ExecuteScript(
                      "INSERT INTO dead_letters VALUES (7, 'main', 'out', 'k', 0, 'r', x'01', NULL,"
                      " 1, x'', 'PERMANENT', 'BAD', 'bad', 2, '', 1000)")
                  .ok());
  ASSERT_TRUE(UpgradeSchema(*database_, SchemaSteps()).ok());
  EXPECT_EQ(*database_->QueryInt("SELECT id FROM dead_letters WHERE record_key IS NULL"), 7);
}

TEST_F(SchemaTest, TheBuildsOwnStepsAscendAndApply) {
  int64_t version = 0;
  for (const SchemaStep& step : SchemaSteps()) {
    EXPECT_EQ(step.version, version + 1);
    version = step.version;
  }
  EXPECT_TRUE(UpgradeSchema(*database_, SchemaSteps()).ok());
  EXPECT_EQ(*database_->QueryInt("PRAGMA user_version"), version);
}

}  // namespace
}  // namespace mfn::store
