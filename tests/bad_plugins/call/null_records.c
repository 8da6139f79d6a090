/* DEFECT: a batch of three records whose array is NULL. COST: that call. */
#include "batch.h"
static void fill(mfn_batch* batch) {
  batch->records = NULL;
  batch->n_records = 3;
}
