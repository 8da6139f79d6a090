/* DEFECT: the entry point returns NULL. COST: the file is not loaded. */
#define ENTRY
#include "../sound.h"
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) { return (void)minor, NULL; }
