/* A plugin whose library is missing when it is loaded. */
#include <mfn/plugin.h>
#include <stddef.h>
int needed(void);
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) {
  (void)minor;
  return needed() ? NULL : NULL;
}
