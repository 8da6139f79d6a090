/* The C header alone, under every dialect that it promises (see CMakeLists.txt). MFN_HAS must work
 * on functions, pointers and numbers. */
#include <mfn/ext/cancel_fd.h>
#include <mfn/ext/secrets.h>
#include <mfn/ext/state.h>
#include <mfn/plugin.h>

int mfn_header_is_usable(const mfn_host* host, const mfn_component* component);
int mfn_header_is_usable(const mfn_host* host, const mfn_component* component) {
  return MFN_HAS(mfn_host, host, extension) && MFN_HAS(mfn_component, component, source);
}
