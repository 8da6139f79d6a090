// The lines as they come out: levels, both formats, and that nothing breaks out of a line.
#include "server/observability/spdlog_sink.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"

namespace mfn::observability {
namespace {

class StoppedClock : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixMicros(1717747750123456); }
  int64_t MonotonicNanos() const override { return 0; }
};

class SpdlogSinkTest : public testing::Test {
 protected:
  std::unique_ptr<SpdlogSink> Make(LogLevel level, LogFormat format) {
    return std::make_unique<SpdlogSink>(level, format, &clock_,
                                        std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
  }

  StoppedClock clock_;
  std::ostringstream out_;
};

TEST_F(SpdlogSinkTest, JsonLineHasTheFieldsInOrder) {
  Make(LogLevel::kDebug, LogFormat::kJson)
      ->Write(LogLevel::kWarning, "registry", "quarantined", {{"instance", "api"}});
  EXPECT_EQ(out_.str(),
            "{\"time\":\"2024-06-07T08:09:10.123456Z\",\"level\":\"warning\","
            "\"component\":\"registry\",\"message\":\"quarantined\",\"instance\":\"api\"}\n");
}

TEST_F(SpdlogSinkTest, NothingBreaksOutOfAJsonLine) {
  const std::string nasty = "a\n{\"level\":\"error\"}\r\x1b[31m \x9b \xff %v {} \xc2\x9b";
  Make(LogLevel::kDebug, LogFormat::kJson)
      ->Write(LogLevel::kInfo, "c", nasty, {{"level", nasty}, {"x", "{}"}});
  const std::string text = out_.str();
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const nlohmann::json line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["field_level"], line["message"]);
  EXPECT_EQ(line["x"], "{}");
  for (const char c : text.substr(0, text.size() - 1)) {
    EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
  }
}

TEST_F(SpdlogSinkTest, TextLineQuotesWhereNeeded) {
  Make(LogLevel::kDebug, LogFormat::kText)
      ->Write(LogLevel::kError, "rpc", "said \"no\"\n\\", {{"a", "b"}, {"c", "d e"}, {"f", ""}});
  EXPECT_EQ(out_.str(),
            "2024-06-07T08:09:10.123456Z ERROR rpc: said \"no\"\\n\\\\ a=b c=\"d e\" f=\"\"\n");
}

TEST_F(SpdlogSinkTest, DropsWhatIsBelowTheLevel) {
  const auto sink = Make(LogLevel::kWarning, LogFormat::kText);
  sink->Write(LogLevel::kDebug, "c", "m", {});
  sink->Write(LogLevel::kInfo, "c", "m", {});
  EXPECT_EQ(out_.str(), "");
  sink->Write(LogLevel::kWarning, "c", "m", {});
  sink->Write(LogLevel::kError, "c", "m", {});
  const std::string text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST_F(SpdlogSinkTest, ThreadsDoNotMixTheirLines) {
  const auto sink = Make(LogLevel::kInfo, LogFormat::kJson);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sink] {
      for (int i = 0; i < 200; ++i) {
        sink->Write(LogLevel::kInfo, "c", std::string(100, 'x'), {{"i", std::to_string(i)}});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int lines = 0;
  for (absl::string_view line : absl::StrSplit(out_.str(), '\n', absl::SkipEmpty())) {
    ASSERT_TRUE(nlohmann::json::accept(line.begin(), line.end())) << line;
    ++lines;
  }
  EXPECT_EQ(lines, 800);
}

TEST(InstallLogSink, ReadsTheVariables) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(InstallLogSink("DEBUG", "text").ok());
  Log(LogLevel::kDebug, "c", "one");
  ASSERT_TRUE(InstallLogSink(std::nullopt, "").ok());
  Log(LogLevel::kDebug, "c", "two");
  Log(LogLevel::kInfo, "c", "three");
  const std::string text = testing::internal::GetCapturedStderr();
  SetLogSink(nullptr);
  EXPECT_NE(text.find("DEBUG c: one"), std::string::npos) << text;
  EXPECT_EQ(text.find("two"), std::string::npos);
  EXPECT_NE(text.find("\"message\":\"three\""), std::string::npos);
}

TEST(InstallLogSink, UnknownWordsNameTheVariableAndStillLog) {
  testing::internal::CaptureStderr();
  const absl::Status status = InstallLogSink("loud", "xml");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "MFN_LOG_LEVEL is none of debug, info, warning, error; "
            "MFN_LOG_FORMAT is none of json, text");
  Log(LogLevel::kInfo, "c", "still here");
  SetLogSink(nullptr);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("still here"), std::string::npos);
}

}  // namespace
}  // namespace mfn::observability
