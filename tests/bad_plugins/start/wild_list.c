/* DEFECT: the list of components is no address. COST: the file is not loaded. */
#include <mfn/plugin.h>
#define COMPONENTS (const mfn_component* const*)(uintptr_t)64, 3
#include "../sound.h"
