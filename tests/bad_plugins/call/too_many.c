/* DEFECT: a batch that lies about its count: far more records than were asked for, or are there.
 * COST: that call; not one of them is looked at. */
#include "batch.h"
static void fill(mfn_batch* batch) { batch->n_records = UINT64_MAX; }
