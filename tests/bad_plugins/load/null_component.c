/* DEFECT: a component of the list is NULL. COST: the file is not loaded. */
#include <mfn/plugin.h>
static const mfn_component* const list[] = {NULL};
#define COMPONENTS list, 1
#include "../sound.h"
