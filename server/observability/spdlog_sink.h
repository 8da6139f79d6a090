// Log lines on stderr through spdlog, one line per event:
//
//   {"time":"2024-06-07T08:09:10.123456Z","level":"warning","component":"registry",
//    "message":"instance quarantined","instance":"api"}                       (json; on one line)
//   2024-06-07T08:09:10.123456Z WARNING registry: instance quarantined instance=api       (text)
//
// Whatever a message or field holds, it stays within its line: control characters are escaped, and
// bytes that are not UTF-8 are replaced. Thread-safe.
#ifndef MFN_SERVER_OBSERVABILITY_SPDLOG_SINK_H_
#define MFN_SERVER_OBSERVABILITY_SPDLOG_SINK_H_

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/log.h"

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace mfn::observability {

enum class LogFormat { kJson, kText };

class SpdlogSink : public LogSink {
 public:
  // Lines below min_level are dropped. `clock` (not owned, must outlive this) stamps the lines.
  SpdlogSink(LogLevel min_level, LogFormat format, Clock* clock,
             std::shared_ptr<spdlog::sinks::sink> output);
  ~SpdlogSink() override;

  bool Keeps(LogLevel level) const override { return level >= min_level_; }
  void Write(LogLevel level, absl::string_view component, absl::string_view message,
             std::initializer_list<LogField> fields) override;

 private:
  const LogLevel min_level_;
  const LogFormat format_;
  Clock* const clock_;
  std::unique_ptr<spdlog::logger> logger_;
};

// Makes the process's sink on stderr, installs it and keeps it until the process ends; a second
// call replaces the settings.
//
// level: the value of MFN_LOG_LEVEL, or else of server.log.level: "debug", "info", "warning" (or
// "warn"), "error", in any case; format: that of MFN_LOG_FORMAT, "json" or "text". Unset or empty:
// info and json. InvalidArgument for any other value, which names the variable and what is known;
// the defaults are then in force, so that the complaint itself can be logged. For the main thread
// alone.
absl::Status InstallLogSink(const std::optional<std::string>& level,
                            const std::optional<std::string>& format);

}  // namespace mfn::observability

#endif  // MFN_SERVER_OBSERVABILITY_SPDLOG_SINK_H_
