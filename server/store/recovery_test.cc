// What the store does when things go wrong around it: a second server, a kill, a full disk, a file
// that is damaged or not ours, files left behind.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/store/dead_letter_store.h"
#include "server/store/resource_store.h"
#include "server/store/sqlite.h"
#include "server/store/sqlite_store.h"
#include "server/store/state_store.h"
#include "server/store/test_directory.h"

namespace mfn::store {
namespace {

using testing::HasSubstr;

std::unique_ptr<Store> OpenOrFail(const std::string& directory,
                                  const SqliteStoreOptions& options = {}) {
  auto opened = OpenSqliteStore(directory, options);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

DeadLetter Letter(const std::string& key, size_t payload_bytes) {
  DeadLetter letter;
  letter.pipeline = "p";
  letter.sink = "out";
  letter.idempotency_key = key;
  letter.payload = std::string(payload_bytes, 'p');
  return letter;
}

// Runs `body` in a child process and returns its exit code; 128 + the signal if one ended it.
int InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(LockTest, ASecondServerIsToldWhoHasTheDirectory) {
  TestDirectory directory;
  auto first = OpenOrFail(directory.path());
  const auto check = [&] {
    const auto second = Store::Open(directory.path());
    const std::string message(second.status().message());
    return absl::IsFailedPrecondition(second.status()) &&
           message.find(directory.path()) != std::string::npos &&
           message.find(absl::StrCat("pid ", getpid())) != std::string::npos;
  };
  EXPECT_TRUE(check()) << "from the same process";
  const pid_t holder = getpid();
  EXPECT_EQ(InChild([&] {
              const auto second = Store::Open(directory.path());
              if (!absl::IsFailedPrecondition(second.status())) return 1;
              const std::string message(second.status().message());
              return message.find(absl::StrCat("pid ", holder)) == std::string::npos ? 2 : 0;
            }),
            0);
  first.reset();
  EXPECT_NE(OpenOrFail(directory.path()), nullptr) << "the lock goes with its store";
}

TEST(LockTest, ADeadHoldersLockDoesNotStay) {
  TestDirectory directory;
  EXPECT_EQ(InChild([&] {
              auto store = Store::Open(directory.path());
              if (!store.ok()) return 1;
              kill(getpid(), SIGKILL);
              return 2;
            }),
            128 + SIGKILL);
  EXPECT_NE(OpenOrFail(directory.path()), nullptr);
}

TEST(OpenTest, TheDirectoryIsMadeForItsOwnerAlone) {
  TestDirectory parent;
  const std::string directory = parent.File("a/b");
  auto store = OpenOrFail(directory);
  const auto mode = std::filesystem::status(directory).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_all);
}

TEST(OpenTest, AFileInPlaceOfTheDirectoryIsNamed) {
  TestDirectory parent;
  std::ofstream(parent.File("f")) << "x";
  const auto opened = Store::Open(parent.File("f"));
  EXPECT_TRUE(absl::IsFailedPrecondition(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr(parent.File("f")));
}

TEST(OpenTest, ANewerSchemaIsRefusedAndLeftAlone) {
  TestDirectory directory;
  OpenOrFail(directory.path());
  {
    auto database = Database::Open(directory.File("mfnd.db"));
    ASSERT_TRUE((*database)->ExecuteScript("PRAGMA user_version = 999").ok());
  }
  const auto opened = Store::Open(directory.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("schema version 999"));
  auto database = Database::Open(directory.File("mfnd.db"));
  EXPECT_EQ(*(*database)->QueryInt("PRAGMA user_version"), 999);
}

TEST(OpenTest, AFileThatIsNoDatabaseIsNamed) {
  TestDirectory directory;
  const std::string path = directory.File("mfnd.db");
  std::ofstream(path) << std::string(5000, 'x');
  const auto opened = Store::Open(directory.path());
  EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr(path));
  EXPECT_EQ(std::filesystem::file_size(path), 5000u) << "the file is evidence";
}

TEST(OpenTest, DamagedPagesAreDataLossThatNamesTheFile) {
  TestDirectory directory;
  const std::string path = directory.File("mfnd.db");
  {
    auto store = OpenOrFail(directory.path());
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(store->state().Put("o", absl::StrCat("k", i), std::string(5000, 'v')).ok());
    }
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(std::filesystem::file_size(path) - 4096, '\xa5');
  }
  auto opened = Store::Open(directory.path());
  const absl::Status status =
      opened.ok() ? (*opened)->state().Get("o", "k7").status() : opened.status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

TEST(PayloadFilesTest, AnOrphanIsSweptAndANamedFileStays) {
  TestDirectory directory;
  SqliteStoreOptions options;
  options.max_inline_payload = 10;
  ASSERT_TRUE(OpenOrFail(directory.path(), options)->dead_letters().Add({Letter("k", 50)}).ok());
  std::ofstream(directory.File("payloads/00000000000000ff")) << "written, then the power went";
  auto store = OpenOrFail(directory.path(), options);
  EXPECT_EQ(directory.FilesIn("payloads"), 1u);
  EXPECT_EQ(store->dead_letters().List("p", 0, 9)->letters.at(0).payload, std::string(50, 'p'));
  ASSERT_TRUE(store->dead_letters().Add({Letter("l", 60)}).ok());
  EXPECT_EQ(store->dead_letters().List("p", 0, 9)->letters.at(1).payload, std::string(60, 'p'));
}

TEST(PayloadFilesTest, AMissingOrShortFileIsDataLossThatNamesIt) {
  TestDirectory directory;
  SqliteStoreOptions options;
  options.max_inline_payload = 10;
  auto store = OpenOrFail(directory.path(), options);
  ASSERT_TRUE(store->dead_letters().Add({Letter("k", 50)}).ok());
  const auto file = *std::filesystem::directory_iterator(directory.File("payloads"));
  std::filesystem::resize_file(file.path(), 49);
  const auto short_file = store->dead_letters().Get(1);
  EXPECT_TRUE(absl::IsDataLoss(short_file.status())) << short_file.status();
  EXPECT_THAT(std::string(short_file.status().message()), HasSubstr(file.path().string()));
  std::filesystem::remove(file.path());
  EXPECT_TRUE(absl::IsDataLoss(store->dead_letters().Get(1).status()));
  EXPECT_TRUE(store->dead_letters().Remove(1).ok()) << "it can still be discarded";
}

TEST(FullDiskTest, NothingOfTheRefusedMutationIsThere) {
  TestDirectory directory;
  SqliteStoreOptions options;
  options.max_inline_payload = 100000;
  options.max_pages = 100;
  auto store = OpenOrFail(directory.path(), options);
  int kept = 0;
  absl::Status status;
  while ((status = store->state().Put("o", absl::StrCat(kept), std::string(20000, 'v'))).ok()) {
    ++kept;
    ASSERT_LT(kept, 1000);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(directory.File("mfnd.db")));
  EXPECT_EQ(*store->state().Get("o", absl::StrCat(kept)), std::nullopt);

  const absl::Status add =
      store->dead_letters().Add({Letter("small", 1), Letter("row", 90000), Letter("f", 100001)});
  EXPECT_TRUE(absl::IsResourceExhausted(add)) << add;
  EXPECT_EQ(*store->dead_letters().Count("p"), 0);
  EXPECT_EQ(directory.FilesIn("payloads"), 0u);
  EXPECT_TRUE(absl::IsResourceExhausted(
      store->resources().Put("pipeline", "x", std::string(90000, 'b')).status()));

  for (int i = 0; i < kept; ++i) {
    ASSERT_EQ(store->state().Get("o", absl::StrCat(i))->value().size(), 20000u);
    ASSERT_TRUE(store->state().Erase("o", absl::StrCat(i)).ok());
  }
  EXPECT_TRUE(store->state().Put("o", "again", std::string(20000, 'v')).ok()) << "space was freed";
}

// A limit on file size fails a write as a full disk does, with EFBIG.
TEST(FullDiskTest, AFailedWriteIsResourceExhaustedAndLaterOnesGoThrough) {
  TestDirectory directory;
  const std::string value(50000, 'v');
  const int code = InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    SqliteStoreOptions options;
    options.max_inline_payload = 1000;
    auto store = OpenSqliteStore(directory.path(), options);
    if (!store.ok()) return 1;
    const rlimit limited = {1 << 20, RLIM_INFINITY}, unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limited) != 0) return 2;
    if (!absl::IsResourceExhausted((*store)->dead_letters().Add({Letter("k", 2 << 20)}))) return 3;
    if (directory.FilesIn("payloads") != 0) return 4;
    int kept = 0;
    absl::Status status;
    while (kept < 1000 && (status = (*store)->state().Put("o", absl::StrCat(kept), value)).ok()) {
      ++kept;
    }
    if (!absl::IsResourceExhausted(status)) return 5;
    if (*(*store)->state().Get("o", absl::StrCat(kept)) != std::nullopt) return 6;
    if (setrlimit(RLIMIT_FSIZE, &unlimited) != 0) return 7;
    if (!(*store)->state().Put("o", absl::StrCat(kept), value).ok()) return 8;
    if (!(*store)->state().Put("o", "kept", absl::StrCat(kept)).ok()) return 9;
    return 0;
  });
  ASSERT_EQ(code, 0);
  auto store = OpenOrFail(directory.path());
  const int kept = atoi(store->state().Get("o", "kept")->value().c_str());
  EXPECT_GT(kept, 5);
  for (int i = 0; i <= kept; ++i) {
    EXPECT_EQ(store->state().Get("o", absl::StrCat(i))->value(), value);
  }
}

// Three threads: each writes state, or three letters at once, one of them with a file, and
// reports over the pipe when the store has said OK. Ends by SIGKILL only.
void PutUntilKilled(const std::string& directory, int report) {
  SqliteStoreOptions options;
  options.max_inline_payload = 100;
  auto store = OpenSqliteStore(directory, options);
  if (!store.ok()) _exit(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0;; ++i) {
        const std::string key = absl::StrFormat("%d-%06d", t, i);
        const absl::Status status =
            t == 0 ? (*store)->dead_letters().Add(
                         {Letter(key + "a", 10), Letter(key + "b", 200), Letter(key + "c", 0)})
                   : (*store)->state().Put("o", key, "value of " + key);
        if (!status.ok()) _exit(2);
        const std::string line = key + "\n";
        if (write(report, line.data(), line.size()) < 0) _exit(3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(KillTest, WhatWasReportedIsThereAfterSigkill) {
  TestDirectory directory;
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    PutUntilKilled(directory.path(), pipe_ends[1]);
    _exit(4);
  }
  close(pipe_ends[1]);
  std::vector<std::string> reported;
  FILE* lines = fdopen(pipe_ends[0], "r");
  char line[64];
  while (fgets(line, sizeof(line), lines) != nullptr) {
    reported.emplace_back(line, 8);
    if (reported.size() == 120) kill(child, SIGKILL);
  }
  fclose(lines);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  ASSERT_GE(reported.size(), 120u);

  SqliteStoreOptions options;
  options.max_inline_payload = 100;
  auto store = OpenOrFail(directory.path(), options);
  const auto page = store->dead_letters().List("p", 0, 1000000);
  ASSERT_TRUE(page.ok()) << page.status();
  std::vector<std::string> letters;
  for (const DeadLetter& letter : page->letters) letters.push_back(letter.idempotency_key);
  EXPECT_EQ(letters.size() % 3, 0u) << "an Add is there in full or not at all";
  EXPECT_EQ(directory.FilesIn("payloads"), letters.size() / 3);
  for (const std::string& key : reported) {
    if (key[0] == '0') {
      EXPECT_THAT(letters, testing::IsSupersetOf({key + "a", key + "b", key + "c"}));
    } else {
      EXPECT_EQ(*store->state().Get("o", key), "value of " + key);
    }
  }
}

TEST(ConcurrencyTest, ThreadsWriteReadAndRemoveWithoutLosingALetter) {
  TestDirectory directory;
  SqliteStoreOptions options;
  options.max_inline_payload = 100;
  auto store = OpenOrFail(directory.path(), options);
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};
  std::thread lister([&] {
    while (!done) {
      if (!store->dead_letters().List("p", 0, 100).ok()) ++failures;
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        // Every second letter replaces the one before, file and all.
        const std::string key = absl::StrCat(t, "-", i / 2);
        if (!store->dead_letters().Add({Letter(key, 150)}).ok()) ++failures;
        if (!store->state().Put("o", key, key).ok()) ++failures;
        if (!store->resources().Put("pipeline", absl::StrCat(t), key).ok()) ++failures;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  lister.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(*store->dead_letters().Count("p"), 30);
  EXPECT_EQ(directory.FilesIn("payloads"), 30u);
  EXPECT_EQ(store->resources().List("pipeline")->size(), 3u);
}

}  // namespace
}  // namespace mfn::store
