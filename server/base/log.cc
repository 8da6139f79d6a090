// The process's log sink.
#include "server/base/log.h"

#include <atomic>

namespace mfn {
namespace {

std::atomic<LogSink*> process_sink{nullptr};

}  // namespace

void SetLogSink(LogSink* sink) { process_sink.store(sink, std::memory_order_release); }

bool LogKeeps(LogLevel level) {
  const LogSink* sink = process_sink.load(std::memory_order_acquire);
  return sink != nullptr && sink->Keeps(level);
}

void Log(LogLevel level, absl::string_view component, absl::string_view message,
         std::initializer_list<LogField> fields) {
  LogSink* sink = process_sink.load(std::memory_order_acquire);
  if (sink != nullptr) sink->Write(level, component, message, fields);
}

}  // namespace mfn
