// What the configuration promises and only the plugins can tell, before anything is started.
#include "server/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/config_loader.h"

namespace mfn {
namespace {

using testing::HasSubstr;

// Two pipelines over a plugin whose writes are deferred; `second` is the second one's further keys.
absl::Status CheckPair(const std::string& second) {
  const auto config =
      LoadConfigText(absl::StrCat(R"(
server: {plugin_dirs: [")",
                                  MFN_TEST_PLUGIN_DIR, R"("], plugins: {probe: false}}
connectors:
  - {name: in1, connector_type: stuck}
  - {name: in2, connector_type: stuck}
publishers:
  - {name: shared, publisher_type: stuck}
  - {name: other, publisher_type: stuck}
pipelines:
  - {name: one, source: in1, sinks: [shared]}
  - {name: two, source: in2, )",
                                  second, "}\n"),
                     "c.yaml", "", [](const std::string&) { return std::nullopt; });
  if (!config.ok()) return config.status();
  return CheckConfig(*config, "c.yaml", nullptr);
}

TEST(CheckConfig, ADeferredPublisherBelongsToOnePipeline) {
  EXPECT_TRUE(CheckPair("sinks: [other]").ok()) << CheckPair("sinks: [other]");
  for (const char* second : {"sinks: [shared]", "sinks: [other, shared]",
                             "sinks: [other], dead_letter: {publisher: shared}",
                             "sinks: [other], error_publisher: shared"}) {
    const absl::Status status = CheckPair(second);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << second << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                testing::AllOf(HasSubstr("c.yaml:11: two: publisher \"shared\""),
                               HasSubstr("pipeline \"one\"")))
        << second;
  }
}

TEST(CheckConfig, OnePipelineMayUseItTwice) {
  EXPECT_TRUE(CheckPair("sinks: [other], dead_letter: {publisher: other}").ok())
      << "its own flushes are its own";
}

}  // namespace
}  // namespace mfn
