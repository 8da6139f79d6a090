// Where the server's own words go. An interface in base, implemented by server/observability as
// JSON lines, so that no other part depends on a logging library.
//
//   Log(LogLevel::kWarning, "registry", "instance quarantined", {{"instance", name}});
//
// Thread-safe. Never pass a secret.
#ifndef MFN_SERVER_BASE_LOG_H_
#define MFN_SERVER_BASE_LOG_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace mfn {

enum class LogLevel { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

using LogField = std::pair<absl::string_view, std::string>;

class LogSink {
 public:
  virtual ~LogSink() = default;
  // Whether a line of this level is kept; who asks first saves making one that is not.
  virtual bool Keeps(LogLevel /*level*/) const { return true; }
  // The fields of log_scope.h are the sink's to add.
  virtual void Write(LogLevel level, absl::string_view component, absl::string_view message,
                     std::initializer_list<LogField> fields) = 0;
};

// The process's sink; null (the default) discards. The sink must outlive all logging.
void SetLogSink(LogSink* sink);

bool LogKeeps(LogLevel level);

void Log(LogLevel level, absl::string_view component, absl::string_view message,
         std::initializer_list<LogField> fields = {});

}  // namespace mfn

#endif  // MFN_SERVER_BASE_LOG_H_
