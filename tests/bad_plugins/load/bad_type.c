/* DEFECT: a type that cannot be written in a configuration or a path. COST: the file is not
 * loaded. */
#define TYPE "../a type\n"
#include "../sound.h"
