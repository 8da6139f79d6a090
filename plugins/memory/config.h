// The configuration of a memory connector or publisher, with its defaults filled in.
#ifndef MFN_PLUGINS_MEMORY_CONFIG_H_
#define MFN_PLUGINS_MEMORY_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <mfn/plugin.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mfn::memory {

struct Config {
  std::string queue;
  std::vector<std::string> requests;
  uint64_t repeat = 1;
  bool end_when_empty = false;
  uint64_t capacity = 100000;
  uint64_t fail_every = 0;  // 0: never
  uint64_t fail_times = UINT64_MAX;
  mfn_code fail_code = MFN_RETRYABLE;
  int64_t retry_after_ms = -1;
  std::chrono::milliseconds latency{0};
};

// json is valid by schema.json.
sdk::Status ParseConfig(std::string_view json, Config* config);

}  // namespace mfn::memory

#endif  // MFN_PLUGINS_MEMORY_CONFIG_H_
