/* DEFECT: a schema of 64 MiB. COST: the file is not loaded, and no memory is taken for it. */
#include <mfn/plugin.h>
static char enormous[64 << 20];
#define SCHEMA enormous
#define ENTRY
#include "../sound.h"
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) {
  (void)minor;
  memset(enormous, ' ', sizeof(enormous) - 1);
  enormous[0] = '{';
  enormous[sizeof(enormous) - 2] = '}';
  return &plugin;
}
