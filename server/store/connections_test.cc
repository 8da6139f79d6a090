// Group commit: several threads' mutations in one transaction, each with an outcome of its own.
#include "server/store/connections.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/store/test_directory.h"

namespace mfn::store {
namespace {

class ConnectionsTest : public testing::Test {
 protected:
  void SetUp() override {
    writer_ = std::make_unique<Writer>(Open());
    reader_ = std::make_unique<Reader>(Open());
    ASSERT_TRUE(writer_
                    ->Run([](Database& database) {
                      return database.Execute("CREATE TABLE t (k INTEGER PRIMARY KEY)");
                    })
                    .ok());
  }

  std::unique_ptr<Database> Open() {
    auto database = Database::Open(directory_.File("t.db"));
    EXPECT_TRUE(database.ok()) << database.status();
    EXPECT_TRUE((*database)->ExecuteScript("PRAGMA journal_mode = WAL").ok());
    return *std::move(database);
  }

  static absl::Status Insert(Database& database, int k) {
    absl::StatusOr<Query> query = database.Prepare("INSERT INTO t VALUES (?1)");
    if (!query.ok()) return query.status();
    query->BindInt(1, k);
    return query->Run();
  }

  int64_t Rows() {
    int64_t rows = -1;
    EXPECT_TRUE(reader_
                    ->Run([&](Database& database) {
                      const auto count = database.QueryInt("SELECT count(*) FROM t");
                      if (count.ok()) rows = *count;
                      return count.status();
                    })
                    .ok());
    return rows;
  }

  // Runs the mutations on threads of their own so that all of them queue behind one transaction.
  std::vector<absl::Status> RunTogether(
      const std::vector<std::function<absl::Status(Database&)>>& mutations) {
    std::vector<absl::Status> results(mutations.size());
    std::vector<std::thread> threads;
    EXPECT_TRUE(writer_
                    ->Run([&](Database&) {
                      for (size_t i = threads.size(); i < mutations.size(); ++i) {
                        threads.emplace_back([&, i] { results[i] = writer_->Run(mutations[i]); });
                      }
                      while (writer_->waiting() < mutations.size()) std::this_thread::yield();
                      return absl::OkStatus();
                    })
                    .ok());
    for (std::thread& thread : threads) thread.join();
    return results;
  }

  TestDirectory directory_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
};

TEST_F(ConnectionsTest, WaitingMutationsShareOneTransaction) {
  std::vector<std::thread::id> ran_on(3);
  std::vector<std::function<absl::Status(Database&)>> mutations;
  for (int i = 0; i < 3; ++i) {
    mutations.push_back([&ran_on, i](Database& database) {
      ran_on[static_cast<size_t>(i)] = std::this_thread::get_id();
      return Insert(database, i);
    });
  }
  for (const absl::Status& status : RunTogether(mutations)) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ran_on[0], ran_on[1]);
  EXPECT_EQ(ran_on[1], ran_on[2]);
  EXPECT_EQ(Rows(), 3);
}

// The one that leads the next transaction may not hold up those that the last one has served.
TEST_F(ConnectionsTest, WhoIsDoneLeavesWhileTheNextTransactionRuns) {
  std::atomic<bool> second_done{false};
  std::thread second, third;
  const absl::Status first = writer_->Run([&](Database&) {
    second = std::thread([&] {
      EXPECT_TRUE(writer_
                      ->Run([&](Database& database) {
                        // Within the second transaction: whoever comes now is in the third.
                        third = std::thread([&] {
                          EXPECT_TRUE(writer_
                                          ->Run([&](Database& other) {
                                            for (int k = 0; k < 10'000 && !second_done; ++k) {
                                              std::this_thread::sleep_for(
                                                  std::chrono::milliseconds(1));
                                            }
                                            EXPECT_TRUE(second_done);
                                            return Insert(other, 3);
                                          })
                                          .ok());
                        });
                        while (writer_->waiting() < 1) std::this_thread::yield();
                        return Insert(database, 2);
                      })
                      .ok());
      second_done = true;
    });
    while (writer_->waiting() < 1) std::this_thread::yield();
    return absl::OkStatus();
  });
  EXPECT_TRUE(first.ok());
  second.join();
  third.join();
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ConnectionsTest, AFailedMutationIsUndoneAlone) {
  const auto results = RunTogether({
      [](Database& database) { return Insert(database, 1); },
      [](Database& database) {
        EXPECT_TRUE(Insert(database, 2).ok());
        return absl::NotFoundError("mine");
      },
      [](Database& database) { return Insert(database, 3); },
  });
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1], absl::NotFoundError("mine"));
  EXPECT_TRUE(results[2].ok());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ConnectionsTest, AFailedTransactionIsRepeatedOneByOne) {
  const auto results = RunTogether({
      [](Database& database) { return Insert(database, 1); },
      [](Database& database) {
        // As SQLite does by itself after some errors.
        EXPECT_TRUE(database.Execute("ROLLBACK").ok());
        return absl::ResourceExhaustedError("full");
      },
      [](Database& database) { return Insert(database, 3); },
  });
  EXPECT_TRUE(results[0].ok()) << results[0];
  EXPECT_TRUE(absl::IsResourceExhausted(results[1])) << results[1];
  EXPECT_TRUE(results[2].ok()) << results[2];
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ConnectionsTest, AConstraintFailsItsMutationAndNotTheNext) {
  ASSERT_TRUE(writer_->Run([](Database& database) { return Insert(database, 1); }).ok());
  EXPECT_FALSE(writer_->Run([](Database& database) { return Insert(database, 1); }).ok());
  EXPECT_TRUE(writer_->Run([](Database& database) { return Insert(database, 2); }).ok());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ConnectionsTest, AThreadReadsWhatItHasWrittenWhileOthersWrite) {
  constexpr int kThreads = 4, kEach = 25;
  std::atomic<int> missing{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const int k = t * kEach + i;
        if (!writer_->Run([&](Database& database) { return Insert(database, k); }).ok()) ++missing;
        const absl::Status read = reader_->Run([&](Database& database) -> absl::Status {
          absl::StatusOr<Query> query = database.Prepare("SELECT 1 FROM t WHERE k = ?1");
          if (!query.ok()) return query.status();
          query->BindInt(1, k);
          const auto row = query->Step();
          if (!row.ok() || !*row) ++missing;
          return row.status();
        });
        if (!read.ok()) ++missing;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(Rows(), kThreads * kEach);
}

}  // namespace
}  // namespace mfn::store
