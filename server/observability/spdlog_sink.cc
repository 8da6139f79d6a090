// Log lines through spdlog, which serialises the writes; the line itself is made here, because
// spdlog's patterns do not escape.
#include "server/observability/spdlog_sink.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "server/base/log_scope.h"

namespace mfn::observability {
namespace {

using Json = nlohmann::ordered_json;

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// ASCII only: also the control characters beyond it cannot reach a terminal.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

bool Reserved(absl::string_view key) {
  return key == "time" || key == "level" || key == "component" || key == "message";
}

std::string JsonLine(absl::string_view time, LogLevel level, absl::string_view component,
                     absl::string_view message, std::initializer_list<LogField> fields,
                     const LogFields& scope) {
  Json line;
  line["time"] = std::string(time);
  line["level"] = LevelName(level);
  line["component"] = std::string(component);
  line["message"] = std::string(message);
  for (const auto& [key, value] : fields) {
    line[Reserved(key) ? absl::StrCat("field_", key) : std::string(key)] = value;
  }
  if (scope != nullptr) {
    for (const auto& [key, value] : *scope) line.emplace(key, value);
  }
  return Dump(line);
}

// For people: as JSON would escape it, but quotes stay as they are.
std::string Escaped(absl::string_view text) {
  const std::string quoted = Dump(Json(std::string(text)));
  return absl::StrReplaceAll(absl::string_view(quoted).substr(1, quoted.size() - 2),
                             {{"\\\\", "\\\\"}, {"\\\"", "\""}});
}

std::string TextLine(absl::string_view time, LogLevel level, absl::string_view component,
                     absl::string_view message, std::initializer_list<LogField> fields,
                     const LogFields& scope) {
  std::string line = absl::StrCat(time, " ", absl::AsciiStrToUpper(LevelName(level)), " ",
                                  Escaped(component), ": ", Escaped(message));
  const auto add = [&](absl::string_view key, const std::string& value) {
    const bool plain = !value.empty() && value.find_first_of(" \"=\\") == std::string::npos;
    const std::string shown = plain ? Escaped(value) : Dump(Json(value));
    absl::StrAppend(&line, " ", Escaped(key), "=", shown);
  };
  for (const auto& [key, value] : fields) add(key, value);
  if (scope != nullptr) {
    for (const auto& [key, value] : *scope) add(key, value);
  }
  return line;
}

// False, and *level untouched, for a word that is not known.
bool ParseLevel(absl::string_view word, LogLevel* level) {
  const std::string lower = absl::AsciiStrToLower(word);
  if (lower == "debug") {
    *level = LogLevel::kDebug;
  } else if (lower == "info") {
    *level = LogLevel::kInfo;
  } else if (lower == "warning" || lower == "warn") {
    *level = LogLevel::kWarning;
  } else if (lower == "error" || lower == "critical") {
    *level = LogLevel::kError;
  } else {
    return false;
  }
  return true;
}

bool ParseFormat(absl::string_view word, LogFormat* format) {
  const std::string lower = absl::AsciiStrToLower(word);
  if (lower != "json" && lower != "text") return false;
  *format = lower == "json" ? LogFormat::kJson : LogFormat::kText;
  return true;
}

}  // namespace

SpdlogSink::SpdlogSink(LogLevel min_level, LogFormat format, Clock* clock,
                       std::shared_ptr<spdlog::sinks::sink> output)
    : min_level_(min_level),
      format_(format),
      clock_(clock),
      logger_(std::make_unique<spdlog::logger>("mfn", std::move(output))) {
  logger_->set_level(SpdlogLevel(min_level));
  logger_->set_pattern("%v");
}

SpdlogSink::~SpdlogSink() = default;

void SpdlogSink::Write(LogLevel level, absl::string_view component, absl::string_view message,
                       std::initializer_list<LogField> fields) {
  if (level < min_level_) return;
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", clock_->Now(), absl::UTCTimeZone());
  const LogFields& scope = LogScope::Current();
  const std::string line = format_ == LogFormat::kJson
                               ? JsonLine(time, level, component, message, fields, scope)
                               : TextLine(time, level, component, message, fields, scope);
  logger_->log(SpdlogLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

absl::Status InstallLogSink(const std::optional<std::string>& level,
                            const std::optional<std::string>& format) {
  LogLevel min_level = LogLevel::kInfo;
  LogFormat line_format = LogFormat::kJson;
  std::string problem;
  if (!level.value_or("").empty() && !ParseLevel(*level, &min_level)) {
    problem = "MFN_LOG_LEVEL is none of debug, info, warning, error";
  }
  if (!format.value_or("").empty() && !ParseFormat(*format, &line_format)) {
    absl::StrAppend(&problem, problem.empty() ? "" : "; ", "MFN_LOG_FORMAT is none of json, text");
  }
  // Never freed: a thread may log while the process ends.
  static auto* const kept = new std::vector<std::unique_ptr<SpdlogSink>>;
  kept->push_back(std::make_unique<SpdlogSink>(min_level, line_format, Clock::Real(),
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  SetLogSink(kept->back().get());
  return problem.empty() ? absl::OkStatus() : absl::InvalidArgumentError(problem);
}

}  // namespace mfn::observability
