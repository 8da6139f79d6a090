// DEFECT: the entry point throws. COST: the file is not loaded.
#include <mfn/plugin.h>

#include <stdexcept>

const mfn_plugin* mfn_plugin_entry_v1(uint32_t) { throw std::runtime_error("no entry today"); }
