// Code of a plugin that has nobody to tell how it failed: release and destroy. An exception that
// leaves it ends here, in a line of the log.
#ifndef MFN_SERVER_REGISTRY_CONTAIN_H_
#define MFN_SERVER_REGISTRY_CONTAIN_H_

#include <exception>
#include <utility>

#include "server/base/log.h"

namespace mfn::registry {

template <class F>
void Contain(const char* function, F&& code) noexcept {
  try {
    std::forward<F>(code)();
  } catch (const std::exception& e) {
    Log(LogLevel::kError, "registry", "a plugin threw where it must not",
        {{"function", function}, {"what", e.what()}});
  } catch (...) {
    Log(LogLevel::kError, "registry", "a plugin threw where it must not", {{"function", function}});
  }
}

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_CONTAIN_H_
