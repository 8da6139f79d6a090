// What the log lines of this thread are about: fields that are added to each of them, a plugin's
// own lines too, without every function passing them on.
//
//   const LogScope scope(LogFieldsOf({{"request_id", id}}));
//   Log(LogLevel::kInfo, "rpc", "...");   // has request_id
//
// A scope replaces what the thread had, until it ends. To go on with a piece of work on another
// thread, take LogScope::Current() along. Each object belongs to one thread; fields may be shared.
#ifndef MFN_SERVER_BASE_LOG_SCOPE_H_
#define MFN_SERVER_BASE_LOG_SCOPE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mfn {

using LogFields = std::shared_ptr<const std::vector<std::pair<std::string, std::string>>>;

inline LogFields LogFieldsOf(std::vector<std::pair<std::string, std::string>> fields) {
  return std::make_shared<const std::vector<std::pair<std::string, std::string>>>(
      std::move(fields));
}

class LogScope {
 public:
  explicit LogScope(LogFields fields);  // null: none
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

  static const LogFields& Current();  // null: none

 private:
  LogFields before_;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_LOG_SCOPE_H_
