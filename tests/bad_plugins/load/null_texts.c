/* DEFECT: every text that is for people is NULL. COST: none; they are empty. */
#define ENTRY
#define SUMMARY NULL
#include "../sound.h"
static mfn_plugin changed;
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) {
  (void)minor;
  changed = plugin;
  changed.version = changed.vendor = changed.license = NULL;
  return &changed;
}
