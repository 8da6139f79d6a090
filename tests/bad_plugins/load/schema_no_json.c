/* DEFECT: a schema that is not JSON. COST: the file is not loaded. */
#define SCHEMA "{\"type\": object"
#include "../sound.h"
