/* DEFECT: neither source nor sink nor executor. COST: the file is not loaded. */
#define SOURCE NULL
#define SINK NULL
#define EXECUTOR NULL
#include "../sound.h"
