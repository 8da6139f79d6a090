// What the tests of bad plugins share: a registry on the real clock, calls without retries, and
// what the server logged meanwhile.
#ifndef MFN_TESTS_BAD_PLUGINS_BAD_TEST_H_
#define MFN_TESTS_BAD_PLUGINS_BAD_TEST_H_

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/log.h"
#include "server/base/mutex.h"
#include "server/registry/registry.h"

namespace mfn::registry {

inline std::string Lib(const std::string& name) {
  return absl::StrCat(MFN_BAD_PLUGINS "/", name, ".so");
}

// Lines as "message key=value ...".
class LogLines final : public LogSink {
 public:
  LogLines() { SetLogSink(this); }
  ~LogLines() override { SetLogSink(nullptr); }
  void Write(LogLevel, absl::string_view, absl::string_view message,
             std::initializer_list<LogField> fields) override {
    std::string line(message);
    for (const LogField& field : fields)
      absl::StrAppend(&line, " ", field.first, "=", field.second);
    MutexLock lock(&mutex_);
    lines_.push_back(std::move(line));
  }
  std::vector<std::string> With(absl::string_view words) const {
    MutexLock lock(&mutex_);
    std::vector<std::string> found;
    for (const std::string& line : lines_) {
      if (absl::StrContains(line, words)) found.push_back(line);
    }
    return found;
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class BadPluginTest : public testing::Test {
 protected:
  BadPluginTest() {
    signal(SIGPIPE, SIG_IGN);  // as mfnd does, before anything is loaded
    registry_ = Registry::Create({});
  }

  std::shared_ptr<Instance> Make(const std::string& plugin,
                                 InstanceRole role = InstanceRole::kConnector) {
    if (const absl::Status s = registry_->LoadFile(Lib(plugin)); !s.ok()) ADD_FAILURE() << s;
    const auto instance = registry_->CreateInstance(Config(plugin, role));
    if (!instance.ok()) ADD_FAILURE() << instance.status();
    return instance.ok() ? *instance : nullptr;
  }
  std::shared_ptr<Instance> MakeSink(const std::string& plugin) {
    return Make(plugin, InstanceRole::kPublisher);
  }
  InstanceConfig Config(const std::string& plugin, InstanceRole role) {
    InstanceConfig config;
    config.name = absl::StrCat("instance-", ++made_);
    config.type = absl::StrCat("bad-", plugin);
    config.role = role;
    config.retry.max_retries = 0;
    config.timeout = absl::Milliseconds(200);
    return config;
  }
  static ReadResult Read(Instance& instance) {
    return instance.Read(10, 1 << 20, absl::Milliseconds(200), {});
  }
  static WriteResult Write(Instance& instance, size_t records = 1) {
    return instance.Write(CopyRecords(std::vector<mfn_record>(records)), {});
  }
  // A sound plugin still loads and serves; the server has lost nothing.
  void ExpectStillServing() {
    const std::shared_ptr<Instance> sound = Make("sound");
    ASSERT_NE(sound, nullptr);
    EXPECT_EQ(Read(*sound).batch.records().size(), 1u);
  }

  LogLines log_;
  std::unique_ptr<Registry> registry_;
  int made_ = 0;
};

}  // namespace mfn::registry

#endif  // MFN_TESTS_BAD_PLUGINS_BAD_TEST_H_
