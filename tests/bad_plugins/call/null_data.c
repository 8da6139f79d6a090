/* DEFECT: a payload with a length and without data. COST: that call. */
#include "batch.h"
static void fill(mfn_batch* batch) {
  (void)batch;
  record.payload.data = NULL;
  record.payload.len = 5;
}
