// Abuse of what the host offers and of what belongs to the process: bounded, ignored or put back,
// and the server's own parts do not notice.
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <sys/time.h>

#include <cfloat>
#include <filesystem>

#include "absl/time/clock.h"
#include "server/store/state_store.h"
#include "server/store/store.h"
#include "tests/bad_plugins/bad_test.h"

namespace mfn::registry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class HostTest : public BadPluginTest {
 protected:
  // Loads it, and returns the one line that says what it changed.
  std::string ChangedBy(const std::string& plugin) {
    const absl::Status status = registry_->LoadFile(Lib(plugin));
    EXPECT_TRUE(status.ok()) << status;
    std::string all;
    for (const std::string& line : log_.With("put back path=" + Lib(plugin))) all += line + "\n";
    return all;
  }
};

void (*HandlerOf(int number))(int) {
  struct sigaction action = {};
  sigaction(number, nullptr, &action);
  return action.sa_handler;
}

// Below the smallest normal number; zero where denormals are flushed. Computed now, not when it is
// compiled.
double Denormal() {
  volatile double small = DBL_MIN, half = 0.5;
  return small * half;
}

TEST_F(HostTest, SignalHandlersSetWhileLoadingArePutBack) {
  const auto on_term = HandlerOf(SIGTERM), on_pipe = HandlerOf(SIGPIPE);
  EXPECT_THAT(ChangedBy("signals_on_load"),
              HasSubstr(absl::StrCat("the handler of SIGTERM (set by ", Lib("signals_on_load"))));
  EXPECT_EQ(HandlerOf(SIGTERM), on_term);
  EXPECT_EQ(HandlerOf(SIGPIPE), on_pipe);
}

TEST_F(HostTest, TheLocaleSetWhileLoadingIsPutBack) {
  EXPECT_THAT(ChangedBy("locale_on_load"), AllOf(HasSubstr("changed=the locale of the thread"),
                                                 HasSubstr("changed=the locale\n")));
  EXPECT_STREQ(setlocale(LC_ALL, nullptr), "C");
  EXPECT_EQ(uselocale(nullptr), LC_GLOBAL_LOCALE);
}

TEST_F(HostTest, ArithmeticChangedWhileLoadingIsPutBack) {
  ASSERT_GT(Denormal(), 0);
  EXPECT_THAT(ChangedBy("fast_math_on_load"), HasSubstr("the arithmetic of the thread"));
  EXPECT_GT(Denormal(), 0) << "denormals are flushed: results differ from the reference's";
  EXPECT_EQ(fegetround(), FE_TONEAREST);
}

TEST_F(HostTest, TheAlarmClockIsStopped) {
  EXPECT_THAT(ChangedBy("timer"),
              AllOf(HasSubstr("the alarm clock"), HasSubstr("the blocked signals of the thread")));
  itimerval timer = {};
  getitimer(ITIMER_REAL, &timer);
  EXPECT_EQ(timer.it_value.tv_sec, 0);
  EXPECT_EQ(timer.it_value.tv_usec, 0);
}

TEST_F(HostTest, TheWorkingDirectoryIsPutBack) {
  const auto before = std::filesystem::current_path();
  EXPECT_THAT(ChangedBy("directory"), HasSubstr("the working directory"));
  EXPECT_EQ(std::filesystem::current_path(), before);
}

TEST_F(HostTest, ALibraryThatChangesNothingIsNotNamed) { EXPECT_EQ(ChangedBy("sound"), ""); }

TEST_F(HostTest, SymbolsOfAPluginDoNotReplaceTheServers) {
  ASSERT_NE(Make("symbols"), nullptr);
  // Each of the exported functions ends the process.
  const std::string dir = absl::StrCat(testing::TempDir(), "/mfn-symbols-", getpid());
  const auto store = store::Store::Open(dir);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE((*store)->state().Put("owner", "key", "value").ok());
  std::filesystem::remove_all(dir);
  ExpectStillServing();
}

TEST_F(HostTest, FailuresOfRecordsThatAreNotThereAreIgnored) {
  const auto sink = MakeSink("fail_abuse");
  const WriteResult result = Write(*sink, 8);
  EXPECT_TRUE(result.failure.ok()) << result.failure.message;
  std::vector<uint64_t> failed;
  for (const WriteResult::Record& record : result.failed) failed.push_back(record.index);
  EXPECT_THAT(failed, ElementsAre(2, 3));
  EXPECT_EQ(result.failed[1].failure.reason, "LATER");
}

TEST_F(HostTest, TextsAreCutAndMadeFitToPrint) {
  const Failure failure = Write(*MakeSink("garbage_texts")).failure;
  EXPECT_EQ(failure.reason, std::string(64, '?'));
  EXPECT_EQ(failure.message, std::string(4096, '?'));
  EXPECT_EQ(failure.field, std::string(1024, '?'));
  EXPECT_EQ(log_.With("line one line two [2J \xC3\xA4 ???").size(), 1u);
}

TEST_F(HostTest, MetricsAreBounded) {
  const auto sink = MakeSink("metric_flood");
  EXPECT_TRUE(Write(*sink).failure.ok());
  EXPECT_TRUE(Write(*sink).failure.ok());
  const auto metrics = sink->status().plugin_metrics;
  EXPECT_EQ(metrics.size(), 256u);
  EXPECT_EQ(metrics.front().value, 2) << "known ones go on counting";
}

TEST_F(HostTest, QuestionsForExtensionsThatCannotBe) {
  EXPECT_TRUE(Write(*MakeSink("garbage_extension")).failure.ok());
}

TEST_F(HostTest, ABrokenPipeIsACallsFailure) {
  EXPECT_EQ(Write(*MakeSink("broken_pipe")).failure.code, MFN_RETRYABLE);
}

TEST_F(HostTest, SignalHandlersAndLocaleSetInACallArePutBack) {
  const auto on_term = HandlerOf(SIGTERM);
  for (const char* plugin : {"signals", "locale"}) {
    const auto sink = MakeSink(plugin);
    // The process is looked at once a second, at the end of a call.
    const absl::Time end = absl::Now() + absl::Seconds(10);
    const auto lines = [&] {
      return log_.With(absl::StrCat("put back instance=", sink->name(), " plugin=org.example.bad"));
    };
    while (lines().empty() && absl::Now() < end) EXPECT_TRUE(Write(*sink).failure.ok());
    EXPECT_FALSE(lines().empty()) << plugin;
  }
  const auto sound = Make("sound");
  while (log_.With("the locale\n").empty() && std::string(setlocale(LC_ALL, nullptr)) != "C") {
    Read(*sound);
  }
  EXPECT_EQ(HandlerOf(SIGPIPE), SIG_IGN);
  EXPECT_EQ(HandlerOf(SIGTERM), on_term);
}

TEST_F(HostTest, ArithmeticOfAThreadIsPutBackAfterEachCall) {
  const auto sink = MakeSink("fast_math");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Write(*sink).failure.ok());
  EXPECT_EQ(log_.With("function=write changed=the arithmetic of the thread").size(), 3u);
}

TEST_F(HostTest, AFloodOfLinesIsCut) {
  const auto sink = MakeSink("log_flood");
  EXPECT_TRUE(Write(*sink).failure.ok());
  EXPECT_LT(log_.With("again instance=").size(), 2000u);
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (log_.With("lines of the plugin were left out").empty() && absl::Now() < end) Write(*sink);
  EXPECT_FALSE(log_.With("lines of the plugin were left out").empty());
}

TEST_F(HostTest, WordsOfAnotherThreadAreNotTheCalls) {
  const WriteResult result = Write(*MakeSink("foreign_thread"));
  EXPECT_EQ(result.failure.reason, "OWN");
  EXPECT_TRUE(result.failed.empty());
}

TEST_F(HostTest, AThreadThatIsLeftBehindFindsItsLibrary) {
  {
    const auto instance = Make("thread_left");
    EXPECT_EQ(Read(*instance).batch.records().size(), 1u);
    ASSERT_TRUE(registry_->DeleteInstance(instance->name(), absl::Seconds(1)).ok());
  }
  registry_ = Registry::Create({});
  ExpectStillServing();
}

TEST_F(HostTest, WhatAPluginPrintsIsNobodysInput) {
  EXPECT_TRUE(Write(*MakeSink("prints")).failure.ok());
}

}  // namespace
}  // namespace mfn::registry
