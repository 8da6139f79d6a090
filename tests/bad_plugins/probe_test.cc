// Defects that only show when a library is loaded, and then end the process: with the helper they
// cost their file, and nothing of them runs here. Also pins, and what is remembered.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/registry/file_digest.h"
#include "server/registry/registry.h"
#include "server/store/state_store.h"
#include "tests/bad_plugins/bad_test.h"

namespace mfn::registry {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

// A sanitizer catches the signal, reports, and exits in its own way.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr char kCrash[] = "loading it ended the process with exit code";
#else
constexpr char kCrash[] = "loading it ended the process with SIGSEGV, so this server does not load";
#endif

class MapStore final : public store::StateStore {
 public:
  absl::Status Put(absl::string_view owner, absl::string_view key,
                   absl::string_view value) override {
    blobs[absl::StrCat(owner, "/", key)] = std::string(value);
    return absl::OkStatus();
  }
  absl::Status Erase(absl::string_view, absl::string_view) override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<std::string>> Get(absl::string_view owner,
                                                 absl::string_view key) override {
    const auto found = blobs.find(absl::StrCat(owner, "/", key));
    if (found == blobs.end()) return std::nullopt;
    return found->second;
  }
  absl::Status List(absl::string_view, absl::string_view,
                    const std::function<bool(absl::string_view, absl::string_view)>&) override {
    return absl::OkStatus();
  }
  std::map<std::string, std::string> blobs;
};

class ProbeTest : public testing::Test {
 protected:
  ProbeTest() { options_.probe_helper = MFN_PLUGIN_PROBE; }

  absl::Status Load(const std::string& path) {
    if (registry_ == nullptr) registry_ = Registry::Create(options_);
    return registry_->LoadFile(path);
  }
  std::string ErrorOf(const std::string& name) {
    const absl::Status status = Load(Lib(name));
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << name << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(Lib(name)));
    return std::string(status.message());
  }

  RegistryOptions options_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(ProbeTest, WhatEndsTheProcessEndsTheHelper) {
  EXPECT_THAT(ErrorOf("start_crashes"), HasSubstr(kCrash));
  EXPECT_THAT(ErrorOf("start_exits"),
              AllOf(HasSubstr("exit code 3"), HasSubstr("no licence found")));
  EXPECT_THAT(ErrorOf("start_throws"),
              AllOf(HasSubstr("SIGABRT"), HasSubstr("thrown before main")));
  EXPECT_THAT(ErrorOf("start_wild_list"), HasSubstr(kCrash));
  EXPECT_THAT(ErrorOf("start_wild_text"), HasSubstr(kCrash));
  EXPECT_TRUE(registry_->plugins().empty());
}

TEST_F(ProbeTest, MessagesThatTheServerHasTooAreFoundInTheHelper) {
  EXPECT_THAT(ErrorOf("start_protobuf_twice"), AllOf(HasSubstr("SIGABRT"), HasSubstr("mfn/v1/")));
}

TEST_F(ProbeTest, WhatDoesNotComeBackIsEnded) {
  options_.probe_timeout = absl::Milliseconds(300);
  EXPECT_THAT(ErrorOf("start_hangs"), HasSubstr("still being loaded after 300ms"));
  EXPECT_THAT(ErrorOf("start_floods"), HasSubstr("still being loaded after 300ms"));
  EXPECT_THAT(ErrorOf("start_hangs_with_child"), HasSubstr("still being loaded after 300ms"));
}

TEST_F(ProbeTest, APluginThatPrintsCannotSpoilTheAnswer) {
  EXPECT_TRUE(Load(Lib("start_prints")).ok());
}

TEST_F(ProbeTest, TheHelpersAnswerIsTheServers) {
  EXPECT_TRUE(Load(Lib("sound")).ok());
  for (const char* name :
       {"null_read", "unresolved", "entry_throws", "schema_circle", "no_entry"}) {
    const absl::Status here = Registry::Create({})->LoadFile(Lib(name));
    EXPECT_EQ(Load(Lib(name)), here) << name;
  }
}

TEST_F(ProbeTest, AMissingHelperIsSaid) {
  options_.probe_helper = "/nowhere/mfn-plugin-probe";
  EXPECT_THAT(std::string(Load(Lib("sound")).message()),
              AllOf(HasSubstr("/nowhere/mfn-plugin-probe cannot be run: No such file"),
                    HasSubstr("server.plugins.probe")));
  options_.probe_helper = "/bin/true";
  registry_.reset();
  EXPECT_THAT(std::string(Load(Lib("sound")).message()), HasSubstr("exit code 0"))
      << "silence is no answer";
}

TEST_F(ProbeTest, ContentsThatPassedAreNotProbedAgain) {
  MapStore store;
  options_.state = &store;
  ASSERT_TRUE(Load(Lib("sound")).ok());
  EXPECT_FALSE(Load(Lib("null_read")).ok());
  EXPECT_EQ(store.blobs.size(), 1u) << "only what passed is remembered";
  registry_.reset();
  options_.probe_helper = "/nowhere/mfn-plugin-probe";
  EXPECT_TRUE(Load(Lib("sound")).ok());
  EXPECT_THAT(std::string(Load(Lib("larger_struct")).message()), HasSubstr("cannot be run"));
}

TEST_F(ProbeTest, WithPinsOnlyThoseContentsAreLoaded) {
  const auto digest = FileSha256(Lib("sound"));
  ASSERT_TRUE(digest.ok());
  options_.pins = {{"sound.so", *digest}, {"null_texts.so", *digest}};
  EXPECT_TRUE(Load(Lib("sound")).ok());
  const absl::Status other = Load(Lib("null_texts"));
  EXPECT_TRUE(absl::IsPermissionDenied(other));
  EXPECT_THAT(std::string(other.message()), HasSubstr(absl::StrCat("pins ", *digest)));
  const absl::Status none = Load(Lib("larger_struct"));
  EXPECT_TRUE(absl::IsPermissionDenied(none));
  EXPECT_THAT(std::string(none.message()),
              AllOf(HasSubstr("not pinned"), HasSubstr("\"larger_struct.so\": \"")));
}

TEST(FileDigestTest, IsWhatSha256sumPrints) {
  const fs::path path = fs::path(testing::TempDir()) / absl::StrCat("mfn-digest-", getpid());
  std::ofstream(path) << "abc";
  EXPECT_EQ(*FileSha256(path), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  fs::remove(path);
  EXPECT_TRUE(absl::IsFailedPrecondition(FileSha256(path).status()));
}

}  // namespace
}  // namespace mfn::registry
