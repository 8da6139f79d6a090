/* DEFECT: MFN_DEFERRED without flush, so nothing is ever durable. COST: the file is not loaded. */
#define FLAGS MFN_DEFERRED
#include "../sound.h"
