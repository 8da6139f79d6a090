/* DEFECT: struct_size was never set, and what stands there is gigabytes. COST: the file is not
 * loaded. */
#define COMPONENT_SIZE 0xffffff00u
#include "../sound.h"
