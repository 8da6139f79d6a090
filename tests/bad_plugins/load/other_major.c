/* DEFECT: built for another major version of the ABI. COST: the file is not loaded. */
#define ENTRY
#include "../sound.h"
MFN_EXPORT const mfn_plugin* mfn_plugin_entry_v2(uint32_t minor);
const mfn_plugin* mfn_plugin_entry_v2(uint32_t minor) { return (void)minor, &plugin; }
