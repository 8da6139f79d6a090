/* For plugins whose read returns one batch that cannot be: they define fill(batch). Counts releases
 * as sound.h does: its execute answers with the count. */
#include <mfn/plugin.h>
static void fill(mfn_batch* batch);
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out);
#define READ read_it
#include "../sound.h"

static mfn_record record;
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out) {
  (void)self, (void)call, (void)records, (void)bytes;
  record.payload = text("x");
  record.time_unix_ns = MFN_TIME_ABSENT;
  out->records = &record;
  out->n_records = 1;
  out->release = count_release;
  fill(out);
  return MFN_OK;
}
