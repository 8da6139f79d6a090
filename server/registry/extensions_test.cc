// The extensions of the host as a plugin meets them: mfn.state/1 over the real store,
// mfn.secrets/1 over a real file, mfn.cancel-fd/1 in a real poll.
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/registry/registry.h"
#include "server/registry/stuck_fixture.h"
#include "server/store/state_store.h"
#include "server/store/store.h"

namespace mfn::registry {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::Not;

class ExtensionsTest : public StuckCallTest {
 protected:
  ExtensionsTest() {
    std::string pattern = testing::TempDir() + "mfn-extensions-XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~ExtensionsTest() override { fs::remove_all(dir_); }
  void SetSecret(const std::string& value) { std::ofstream(dir_ + "/token") << value; }
  // With the token in a file that held "old" when the configuration was read.
  InstanceConfig WithToken(const std::string& more = "") {
    InstanceConfig config = Config();
    config.retry.max_retries = 2;
    config.config_json = absl::StrCat(R"({"token":"old")", more, "}");
    config.references = {{"/token", "${file:token}", dir_}};
    return config;
  }
  static ptrdiff_t OpenFiles() {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  }

  std::string dir_;
};

class StateTest : public ExtensionsTest {
 protected:
  StateTest() { Open(); }
  ~StateTest() override {
    LetGo();
    registry_.reset();
    while (StuckPluginThreads() > 0) std::this_thread::yield();
  }
  void Open() {
    registry_.reset();
    store_.reset();
    auto store = store::Store::Open(dir_ + "/state");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    registry_ = MakeRegistry(&store_->state());
  }
  ReadResult Put(Instance& instance, const std::string& key) {
    const std::string what = "put";
    mfn_record record = Record(what);
    record.key = {reinterpret_cast<const uint8_t*>(key.data()), key.size()};
    return instance.Execute(CopyRecords({&record, 1}), true, {});
  }
  bool Kept(const std::string& owner, const std::string& key) {
    const auto value = store_->state().Get(owner, key);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() && value->has_value();
  }
  std::unique_ptr<store::Store> store_;
};

TEST_F(StateTest, WhatWasPutOutlivesTheProcessUnderTheInstancesName) {
  EXPECT_TRUE(Put(*Make(), "cursor").failure.ok());
  EXPECT_EQ(Count("put code"), MFN_OK);
  Open();
  EXPECT_TRUE(Kept("it", "cursor"));
  EXPECT_FALSE(Kept("another", "cursor"));
}

TEST_F(StateTest, AKeyOverTheBoundIsRefusedForGood) {
  auto instance = Make();
  Put(*instance, std::string(1024, 'k'));
  EXPECT_EQ(Count("put code"), MFN_OK);
  Put(*instance, std::string(1025, 'k'));
  EXPECT_EQ(Count("put code"), MFN_PERMANENT);
}

TEST_F(StateTest, AStuckCallThatReturnsKeepsNoStateAnyMore) {
  auto instance = Make();
  Hang("execute");
  GiveUp([&] { return Put(*instance, "cursor"); });
  LetGo();
  while (StuckPluginThreads() > 0) std::this_thread::yield();
  EXPECT_EQ(Count("put code"), MFN_CANCELLED);
  EXPECT_FALSE(Kept("it", "cursor")) << "it is its successor's now";
  EXPECT_TRUE(Put(*instance, "cursor").failure.ok());
  EXPECT_TRUE(Kept("it", "cursor"));
}

TEST_F(ExtensionsTest, CredentialsThatChangedMakeTheInstanceAnew) {
  SetSecret("new\n");
  auto instance = Make(WithToken());
  EXPECT_EQ(Text(Execute(*instance, "token")), "old") << "nothing asked for another yet";
  Answer("execute", MFN_AUTH);
  const ReadResult result = Execute(*instance, "token");
  EXPECT_EQ(Text(result), "new");
  EXPECT_EQ(result.failure.attempts, 2);
  EXPECT_EQ(Count("create"), 2);
  EXPECT_EQ(Count("destroyed"), 1);
  EXPECT_EQ(instance->status().replaced, 1u);
  EXPECT_EQ(instance->status().state, InstanceState::kConnected);
}

TEST_F(ExtensionsTest, CredentialsThatDidNotChangeAreTriedOnceMore) {
  SetSecret("old");
  auto instance = Make(WithToken());
  Answer("execute", MFN_AUTH);
  EXPECT_EQ(Text(Execute(*instance, "token")), "old");
  EXPECT_EQ(Count("create"), 1);
  EXPECT_EQ(Count("connect"), 2);
}

TEST_F(ExtensionsTest, APluginThatResolvesItsSecretsIsOnlyConnectedAgain) {
  SetSecret("new");
  auto instance = Make(WithToken(R"(,"follows":true)"));
  EXPECT_EQ(Text(Execute(*instance, "token")), "new");
  SetSecret("newer");
  Answer("execute", MFN_AUTH);
  EXPECT_EQ(Text(Execute(*instance, "token")), "newer");
  EXPECT_EQ(Count("create"), 1);
  EXPECT_EQ(Count("no string"), 2) << "only what the configuration has can be resolved";
}

TEST_F(ExtensionsTest, ASecretThatCannotBeReadNowMayBeLater) {
  auto instance = Make(WithToken(R"(,"follows":true)"));
  EXPECT_EQ(Execute(*instance, "token").failure.code, MFN_RETRYABLE);
  SetSecret("there");
  EXPECT_EQ(Text(Execute(*instance, "token")), "there");
}

TEST_F(ExtensionsTest, TheCancelDescriptorIsOneForManyCalls) {
  auto instance = Make();
  const std::string fd = Text(Execute(*instance, "fd"));
  EXPECT_THAT(fd, Not(EndsWith("!"))) << "readable though nothing was cancelled";
  const ptrdiff_t open = OpenFiles();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Text(Execute(*instance, "fd")), fd);
  EXPECT_EQ(OpenFiles(), open);
}

TEST_F(ExtensionsTest, CancellingWakesAPollAtOnceAndTheNextCallIsFresh) {
  auto instance = Make();
  for (int round = 1; round <= 3; ++round) {
    CancellationSource source;
    auto answer =
        std::async(std::launch::async, [&] { return Execute(*instance, "poll", source.token()); });
    Await("polling", round);
    const auto start = std::chrono::steady_clock::now();
    source.Cancel();
    EXPECT_EQ(answer.get().failure.code, MFN_CANCELLED);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    RecordProperty("cancel_ms", std::to_string(took.count()));
    EXPECT_LT(took.count(), 5000) << "the poll itself ends after 30 s";
    EXPECT_THAT(Text(Execute(*instance, "fd")), Not(EndsWith("!")));
  }
  EXPECT_EQ(instance->status().overruns, 0u);
}

TEST_F(ExtensionsTest, TheDeadlineWakesAPoll) {
  auto instance = Make();
  auto answer = std::async(std::launch::async, [&] { return Execute(*instance, "poll"); });
  Await("polling", 1);
  clock_.Advance(kTimeout);
  EXPECT_EQ(answer.get().failure.reason, "DEADLINE_EXCEEDED");
  EXPECT_EQ(instance->status().written_off, 0u);
}

TEST_F(ExtensionsTest, ClosingWakesAPoll) {
  auto instance = Make();
  auto answer = std::async(std::launch::async, [&] { return Execute(*instance, "poll"); });
  Await("polling", 1);
  instance->Close(absl::Milliseconds(100));
  EXPECT_EQ(answer.get().failure.code, MFN_CANCELLED);
}

}  // namespace
}  // namespace mfn::registry
