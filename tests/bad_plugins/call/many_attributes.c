/* DEFECT: a record with a million attributes. COST: that call. */
#include "batch.h"
static mfn_kv attributes[1 << 20];
static void fill(mfn_batch* batch) {
  (void)batch;
  record.attrs = attributes;
  record.n_attrs = 1 << 20;
}
