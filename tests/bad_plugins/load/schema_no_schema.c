/* DEFECT: JSON, but no schema. COST: the file is not loaded. */
#define SCHEMA "{\"type\": 5, \"properties\": []}"
#include "../sound.h"
