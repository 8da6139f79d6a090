/* DEFECT: a length that was negative before it was converted. COST: that call. */
#include "batch.h"
static void fill(mfn_batch* batch) {
  (void)batch;
  record.key = text("k");
  record.key.len = (uint64_t)-1;
}
