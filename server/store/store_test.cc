// What the three stores keep, how they order and replace it, and that it is there after a reopen.
#include "server/store/store.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/store/dead_letter_store.h"
#include "server/store/resource_store.h"
#include "server/store/sqlite_store.h"
#include "server/store/state_store.h"
#include "server/store/test_directory.h"

namespace mfn::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen(const SqliteStoreOptions& options = {}) {
    store_.reset();
    auto opened = OpenSqliteStore(directory_.path(), options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  DeadLetterStore& letters() { return store_->dead_letters(); }
  StateStore& state() { return store_->state(); }
  ResourceStore& resources() { return store_->resources(); }

  std::vector<std::string> KeysOf(const std::string& owner, const std::string& prefix) {
    std::vector<std::string> keys;
    EXPECT_TRUE(state()
                    .List(owner, prefix,
                          [&](absl::string_view key, absl::string_view) {
                            keys.emplace_back(key);
                            return true;
                          })
                    .ok());
    return keys;
  }

  TestDirectory directory_;
  std::unique_ptr<Store> store_;
};

DeadLetter Letter(const std::string& pipeline, const std::string& key, int64_t item = 0) {
  DeadLetter letter;
  letter.pipeline = pipeline;
  letter.sink = "out";
  letter.idempotency_key = key;
  letter.item_index = item;
  letter.payload = "payload of " + key;
  letter.time = absl::FromUnixSeconds(1700000000);
  return letter;
}

DeadLetter FullLetter() {
  DeadLetter letter = Letter("p", "k", 7);
  letter.record_id = std::string("topic\0/3", 8);
  letter.payload = std::string("\xff\0{}", 4);
  letter.attributes = {{"b", "2"}, {"a", std::string("\0\xfe", 2)}, {"a", ""}};
  letter.code = "PERMANENT";
  letter.reason = "HTTP_400";
  letter.message = "refused";
  letter.attempts = 3;
  letter.feature_digest = std::string(64, 'e');
  letter.time = absl::FromUnixNanos(1700000000123456789);
  return letter;
}

void ExpectSame(const DeadLetter& got, const DeadLetter& want) {
  EXPECT_EQ(got.pipeline, want.pipeline);
  EXPECT_EQ(got.sink, want.sink);
  EXPECT_EQ(got.idempotency_key, want.idempotency_key);
  EXPECT_EQ(got.record_id, want.record_id);
  EXPECT_EQ(got.item_index, want.item_index);
  EXPECT_EQ(got.payload, want.payload);
  EXPECT_EQ(got.attributes, want.attributes);
  EXPECT_EQ(got.code, want.code);
  EXPECT_EQ(got.reason, want.reason);
  EXPECT_EQ(got.message, want.message);
  EXPECT_EQ(got.attempts, want.attempts);
  EXPECT_EQ(got.feature_digest, want.feature_digest);
  EXPECT_EQ(got.time, want.time);
}

std::vector<std::string> LettersOf(const DeadLetterPage& page) {
  std::vector<std::string> keys;
  for (const DeadLetter& letter : page.letters) keys.push_back(letter.idempotency_key);
  return keys;
}

TEST_F(StoreTest, EveryFieldOfALetterIsThereAfterAReopen) {
  ASSERT_TRUE(letters().Add({FullLetter()}).ok());
  Reopen();
  const auto page = letters().List("p", 0, 10);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->letters.size(), 1u);
  EXPECT_GT(page->letters[0].id, 0);
  ExpectSame(page->letters[0], FullLetter());
  const auto one = letters().Get(page->letters[0].id);
  ASSERT_TRUE(one.ok()) << one.status();
  ExpectSame(*one, FullLetter());
}

TEST_F(StoreTest, NobodyElseMayReadTheDatabase) {
  namespace fs = std::filesystem;
  // A folder that was there before, open to all: the file has to protect itself.
  fs::permissions(directory_.path(), fs::perms::all);
  ASSERT_TRUE(letters().Add({{Letter("p", "k")}}).ok());
  int files = 0;
  for (const auto& entry : fs::directory_iterator(directory_.path())) {
    if (entry.path().filename().string().find("mfnd.db") != 0) continue;
    ++files;
    EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all),
              fs::perms::none)
        << entry.path();
  }
  EXPECT_GE(files, 1);
}

TEST_F(StoreTest, ALetterReplacesOnlyTheOneOfItsPipelineSinkKeyAndItem) {
  DeadLetter other_sink = Letter("p", "k");
  other_sink.sink = "other";
  ASSERT_TRUE(letters()
                  .Add({Letter("p", "k"), Letter("p", "k", 1), Letter("q", "k"), Letter("p", "l"),
                        other_sink})
                  .ok());
  const int64_t replaced = letters().List("p", 0, 1)->letters.at(0).id;
  DeadLetter again = Letter("p", "k");
  again.message = "again";
  ASSERT_TRUE(letters().Add({again}).ok());
  EXPECT_EQ(*letters().Count("p"), 4);
  EXPECT_EQ(*letters().Count("q"), 1);
  EXPECT_TRUE(absl::IsNotFound(letters().Get(replaced).status()));
  const auto page = letters().List("p", 0, 10);
  EXPECT_EQ(page->letters.back().message, "again");
}

TEST_F(StoreTest, LettersWithoutAKeyAreAllKept) {
  ASSERT_TRUE(letters().Add({Letter("p", ""), Letter("p", "")}).ok());
  EXPECT_EQ(*letters().Count("p"), 2);
}

TEST_F(StoreTest, PagesCoverAPipelineOnceInOrder) {
  for (const char* key : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(letters().Add({Letter("p", key), Letter("q", key)}).ok());
  }
  const auto first = letters().List("p", 0, 3);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(LettersOf(*first), ElementsAre("a", "b", "c"));
  ASSERT_NE(first->next_after_id, 0);
  const auto second = letters().List("p", first->next_after_id, 3);
  EXPECT_THAT(LettersOf(*second), ElementsAre("d"));
  EXPECT_EQ(second->next_after_id, 0);
  EXPECT_EQ(letters().List("p", 0, 4)->next_after_id, 0) << "a full last page has no successor";
  EXPECT_TRUE(absl::IsInvalidArgument(letters().List("p", 0, 0).status()));
}

TEST_F(StoreTest, AnIdIsNotUsedAgain) {
  ASSERT_TRUE(letters().Add({Letter("p", "a")}).ok());
  const int64_t id = letters().List("p", 0, 1)->letters.at(0).id;
  ASSERT_TRUE(letters().Remove(id).ok());
  EXPECT_TRUE(absl::IsNotFound(letters().Remove(id)));
  Reopen();
  ASSERT_TRUE(letters().Add({Letter("p", "b")}).ok());
  EXPECT_GT(letters().List("p", 0, 1)->letters.at(0).id, id);
}

TEST_F(StoreTest, StateIsKeptByOwnerAndKey) {
  const std::string key("a\0b", 3);
  ASSERT_TRUE(state().Put("one", key, std::string("\0v", 2)).ok());
  ASSERT_TRUE(state().Put("two", key, "").ok());
  ASSERT_TRUE(state().Put("one", "a", "first").ok());
  ASSERT_TRUE(state().Put("one", "a", "second").ok());
  Reopen();
  EXPECT_EQ(**state().Get("one", key), std::string("\0v", 2));
  EXPECT_EQ(**state().Get("two", key), "");
  EXPECT_EQ(**state().Get("one", "a"), "second");
  EXPECT_EQ(*state().Get("two", "a"), std::nullopt);
  ASSERT_TRUE(state().Erase("one", "a").ok());
  ASSERT_TRUE(state().Erase("one", "a").ok()) << "erasing what is not there is no error";
  EXPECT_EQ(*state().Get("one", "a"), std::nullopt);
}

TEST_F(StoreTest, StateListsAPrefixInKeyOrder) {
  for (const char* key : {"b/2", "b/10", "b", "a", "c", "b/\xff", "b/"}) {
    ASSERT_TRUE(state().Put("one", key, key).ok());
  }
  ASSERT_TRUE(state().Put("two", "b/3", "").ok());
  EXPECT_THAT(KeysOf("one", "b/"), ElementsAre("b/", "b/10", "b/2", "b/\xff"));
  EXPECT_THAT(KeysOf("one", ""), ElementsAre("a", "b", "b/", "b/10", "b/2", "b/\xff", "c"));
  EXPECT_THAT(KeysOf("one", "\xff"), IsEmpty());
}

TEST_F(StoreTest, StateListGoesOnPastOneStepAndMayCallTheStore) {
  const std::string value(1 << 20, 'v');
  for (char c = 'a'; c < 'k'; ++c) ASSERT_TRUE(state().Put("one", std::string(1, c), value).ok());
  std::string seen;
  ASSERT_TRUE(state()
                  .List("one", "",
                        [&](absl::string_view key, absl::string_view got) {
                          EXPECT_EQ(got.size(), value.size());
                          seen += std::string(key);
                          EXPECT_TRUE(state().Erase("one", key).ok());
                          return key != "i";
                        })
                  .ok());
  EXPECT_EQ(seen, "abcdefghi");
  EXPECT_THAT(KeysOf("one", ""), ElementsAre("j"));
}

TEST_F(StoreTest, StateRefusesWhatIsTooBig) {
  EXPECT_TRUE(state().Put("o", std::string(1024, 'k'), std::string(1 << 20, 'v')).ok());
  const absl::Status key = state().Put("o", std::string(1025, 'k'), "");
  EXPECT_TRUE(absl::IsInvalidArgument(key));
  EXPECT_THAT(std::string(key.message()), HasSubstr("1025"));
  EXPECT_TRUE(absl::IsInvalidArgument(state().Put("o", "k", std::string((1 << 20) + 1, 'v'))));
  EXPECT_EQ(*state().Get("o", "k"), std::nullopt);
}

TEST_F(StoreTest, AnEtagNeverReturns) {
  const auto first = resources().Put("connector", "api", "one");
  const auto second = resources().Put("connector", "api", "one");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(*first, *second);
  ASSERT_TRUE(resources().Remove("connector", "api").ok());
  Reopen();
  const auto third = resources().Put("connector", "api", "one");
  EXPECT_NE(*third, *first);
  EXPECT_NE(*third, *second);
  Reopen();
  EXPECT_EQ(resources().List("connector")->at(0).etag, *third);
}

TEST_F(StoreTest, ResourcesAreListedByKindAndName) {
  ASSERT_TRUE(resources().Put("pipeline", "b", std::string("x\0y", 3)).ok());
  ASSERT_TRUE(resources().Put("pipeline", "a", "old").ok());
  ASSERT_TRUE(resources().Put("pipeline", "a", "new").ok());
  ASSERT_TRUE(resources().Put("publisher", "a", "other").ok());
  Reopen();
  const auto listed = resources().List("pipeline");
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ(listed->at(0).name, "a");
  EXPECT_EQ(listed->at(0).body, "new");
  EXPECT_EQ(listed->at(0).kind, "pipeline");
  EXPECT_EQ(listed->at(1).name, "b");
  EXPECT_EQ(listed->at(1).body, std::string("x\0y", 3));
  const absl::Status missing = resources().Remove("connector", "a");
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(std::string(missing.message()), HasSubstr("connector named a"));
}

TEST_F(StoreTest, ABigPayloadIsAFileForAsLongAsItsLetterIsThere) {
  SqliteStoreOptions options;
  options.max_inline_payload = 100;
  Reopen(options);
  DeadLetter at_limit = Letter("p", "at"), over = Letter("p", "over");
  at_limit.payload = std::string(100, 'i');
  over.payload = std::string(101, 'f');
  ASSERT_TRUE(letters().Add({at_limit, over}).ok());
  EXPECT_EQ(directory_.FilesIn("payloads"), 1u);
  Reopen(options);
  EXPECT_EQ(directory_.FilesIn("payloads"), 1u);
  const auto page = letters().List("p", 0, 10);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->letters.at(0).payload, at_limit.payload);
  EXPECT_EQ(page->letters.at(1).payload, over.payload);

  over.payload = std::string(200, 'g');
  ASSERT_TRUE(letters().Add({over}).ok());
  EXPECT_EQ(directory_.FilesIn("payloads"), 1u) << "the replaced letter's file is gone";
  const DeadLetter again = letters().List("p", 0, 10)->letters.at(1);
  EXPECT_EQ(again.payload, over.payload);
  ASSERT_TRUE(letters().Remove(again.id).ok());
  EXPECT_EQ(directory_.FilesIn("payloads"), 0u);
}

TEST_F(StoreTest, PayloadsOver16MiBAreFilesByDefault) {
  DeadLetter letter = Letter("p", "big");
  letter.payload = std::string(16 << 20, 'i');
  ASSERT_TRUE(letters().Add({letter}).ok());
  EXPECT_EQ(directory_.FilesIn("payloads"), 0u);
  letter.payload += 'x';
  ASSERT_TRUE(letters().Add({letter}).ok());
  EXPECT_EQ(directory_.FilesIn("payloads"), 1u);
  EXPECT_EQ(letters().List("p", 0, 1)->letters.at(0).payload, letter.payload);
}

}  // namespace
}  // namespace mfn::store
