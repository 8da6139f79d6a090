/* DEFECT: a schema that nests deeper than a parser's stack. COST: the file is not loaded. */
#include <mfn/plugin.h>
static char deep[1 << 17];
#define SCHEMA deep
#define ENTRY
#include "../sound.h"
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) {
  (void)minor;
  memset(deep, '[', sizeof(deep) - 1);
  return &plugin;
}
