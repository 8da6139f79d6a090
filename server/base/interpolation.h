// ${VAR}, ${VAR:-default} and ${file:path} in one scalar of the configuration.
//
// A default is used when the variable is unset or empty, and may itself hold references. "$${"
// stands for a literal "${". A file is read whole, up to 1 MiB, less one line end at its end; a
// relative path is relative to base_dir.
#ifndef MFN_SERVER_BASE_INTERPOLATION_H_
#define MFN_SERVER_BASE_INTERPOLATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/config_loader.h"

namespace mfn {

struct Interpolated {
  std::string text;
  bool changed = false;  // something was replaced: the text may be a secret
  bool from_file =
      false;  // a file's content took part: the text is a string, whatever it looks like
};

// InvalidArgument names the variable or file, never a value.
absl::StatusOr<Interpolated> Interpolate(absl::string_view text, absl::string_view base_dir,
                                         const EnvLookup& env);

}  // namespace mfn

#endif  // MFN_SERVER_BASE_INTERPOLATION_H_
