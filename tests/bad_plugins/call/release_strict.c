/* DEFECT: a release that crashes if it is called twice, or with another batch than the one it gave.
 * COST: none; the host calls it once. */
#include <mfn/plugin.h>
#include <stdlib.h>
static void strict(mfn_batch* batch) {
  if (batch->private_data == NULL || batch->n_records != 1) abort();
  free(batch->private_data);
  batch->private_data = NULL;
}
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out) {
  mfn_record* made = calloc(1, sizeof(*made));
  (void)self, (void)call, (void)records, (void)bytes;
  if (made == NULL) return MFN_RETRYABLE;
  out->records = made;
  out->n_records = 1;
  out->private_data = made;
  out->release = strict;
  return MFN_OK;
}
#define READ read_it
#include "../sound.h"
