/* DEFECT: never needs a release, and has none. COST: none. */
#include "batch.h"
static void fill(mfn_batch* batch) { batch->release = NULL; }
