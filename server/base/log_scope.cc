// One pointer per thread.
#include "server/base/log_scope.h"

namespace mfn {
namespace {

LogFields& OfThisThread() {
  static thread_local LogFields fields;
  return fields;
}

}  // namespace

LogScope::LogScope(LogFields fields) : before_(std::move(fields)) { before_.swap(OfThisThread()); }

LogScope::~LogScope() { OfThisThread() = std::move(before_); }

const LogFields& LogScope::Current() { return OfThisThread(); }

}  // namespace mfn
