// Pins and remembered verdicts, both by the SHA-256 of the contents.
#include "server/registry/admission.h"

#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"
#include "server/registry/file_digest.h"
#include "server/registry/probe.h"
#include "server/store/state_store.h"

namespace mfn::registry {
namespace {

// No instance can have this name, so no plugin sees what is kept under it.
constexpr char kOwner[] = ".probe";

absl::Status CheckPin(const std::string& path, const std::string& digest,
                      const RegistryOptions& options) {
  const std::string name = std::filesystem::path(path).filename().string();
  const auto pin = options.pins.find(name);
  if (pin == options.pins.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": not pinned; server.plugins.sha256 lists what may be loaded: add \"",
                     name, "\": \"", digest, "\" if you trust it"));
  }
  if (pin->second == digest) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      path, ": its SHA-256 is ", digest, ", but server.plugins.sha256 pins ", pin->second));
}

bool WasProbed(const std::string& key, store::StateStore* state) {
  if (state == nullptr) return false;
  const auto known = state->Get(kOwner, key);
  return known.ok() && known->has_value();
}

}  // namespace

absl::Status AdmitFile(const std::string& path, const RegistryOptions& options) {
  if (options.pins.empty() && options.probe_helper.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> digest = FileSha256(path);
  if (!digest.ok()) return digest.status();
  if (!options.pins.empty()) {
    if (absl::Status s = CheckPin(path, *digest, options); !s.ok()) return s;
  }
  const std::string key = absl::StrCat(MFN_VERSION "/", *digest);
  if (options.probe_helper.empty() || WasProbed(key, options.state)) return absl::OkStatus();
  absl::Status status = ProbePlugin(options.probe_helper, path, options.probe_timeout);
  if (!status.ok() || options.state == nullptr) return status;
  // Not remembered costs a probe at the next start, no more.
  if (absl::Status kept = options.state->Put(kOwner, key, path); !kept.ok()) {
    Log(LogLevel::kWarning, "registry", "a probed plugin could not be remembered",
        {{"path", path}, {"error", std::string(kept.message())}});
  }
  return status;
}

}  // namespace mfn::registry
