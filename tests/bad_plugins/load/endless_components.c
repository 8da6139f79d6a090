/* DEFECT: n_components is a number that no list has. COST: the file is not loaded. */
#include <mfn/plugin.h>
static const mfn_component* const list[] = {NULL};
#define COMPONENTS list, UINT64_MAX / 2
#include "../sound.h"
