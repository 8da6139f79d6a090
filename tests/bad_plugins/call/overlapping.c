/* DEFECT: a thousand records that all claim one piece of memory, so that copying them would take a
 * thousand times as much. COST: that call. */
#include "batch.h"
static char shared[1 << 20];
static mfn_record many[1000];
static void fill(mfn_batch* batch) {
  size_t i;
  for (i = 0; i < 1000; ++i) {
    many[i].payload.data = (const uint8_t*)shared;
    many[i].payload.len = sizeof(shared);
  }
  batch->records = many;
  batch->n_records = 1000;
}
