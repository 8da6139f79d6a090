/* DEFECT: two components have one type. COST: the file is not loaded. */
#include <mfn/plugin.h>
static const mfn_component* const list[2];
#define COMPONENTS list, 2
#include "../sound.h"
static const mfn_component* const list[2] = {&component, &component};
