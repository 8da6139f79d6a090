/* DEFECT: a descriptor smaller than the first version's. COST: the file is not loaded. */
#define COMPONENT_SIZE 24
#include "../sound.h"
