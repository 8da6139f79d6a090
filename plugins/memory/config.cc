// From the text of the configuration to values with defaults.
#include "config.h"

#include <cstdlib>
#include <utility>

#include "json.h"

namespace mfn::memory {
namespace {

// More records than this would only exhaust the memory.
constexpr uint64_t kMaxEmitted = 10'000'000;

mfn_code CodeNamed(const std::string& name) {
  if (name == "PERMANENT") return MFN_PERMANENT;
  if (name == "THROTTLED") return MFN_THROTTLED;
  if (name == "AUTH") return MFN_AUTH;
  if (name == "NOT_CONNECTED") return MFN_NOT_CONNECTED;
  return MFN_RETRYABLE;
}

// JSON Schema counts 1.0 and 1e3 as integers, so the text is read as a double.
uint64_t Number(std::string_view text) {
  const double value = std::strtod(std::string(text).c_str(), nullptr);
  return value > 0 ? static_cast<uint64_t>(value) : 0;
}

}  // namespace

sdk::Status ParseConfig(std::string_view json, Config* config) {
  const auto members = Members(json);
  if (!members) return sdk::Status::InvalidConfig("", "the configuration is not a JSON object");
  for (const auto& [name, text] : *members) {
    if (name == "queue") config->queue = String(text).value_or("");
    if (name == "repeat") config->repeat = Number(text);
    if (name == "end_when_empty") config->end_when_empty = text == "true";
    if (name == "capacity") config->capacity = Number(text);
    if (name == "fail_every") config->fail_every = Number(text);
    if (name == "fail_times") config->fail_times = Number(text);
    if (name == "fail_code") config->fail_code = CodeNamed(String(text).value_or(""));
    if (name == "retry_after_ms") config->retry_after_ms = static_cast<int64_t>(Number(text));
    if (name == "latency_ms") config->latency = std::chrono::milliseconds(Number(text));
    if (name != "requests") continue;
    for (const std::string_view element :
         Elements(text).value_or(std::vector<std::string_view>())) {
      std::optional<std::string> plain = String(element);
      config->requests.push_back(plain ? *std::move(plain) : std::string(element));
    }
  }
  if (config->requests.size() * config->repeat > kMaxEmitted) {
    return sdk::Status::InvalidConfig(
        "/repeat", "requests times repeat is over " + std::to_string(kMaxEmitted) + " records");
  }
  return sdk::Status::Ok();
}

}  // namespace mfn::memory
