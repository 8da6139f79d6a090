/* DEFECT: fills the output and then fails: half a batch, lengths of garbage, a release that would
 * crash. COST: that call; the output is not looked at, nor released. */
#include <mfn/plugin.h>
static int* volatile nowhere = NULL;
static void crash(mfn_batch* batch) { (void)batch, *nowhere = 1; }
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out);
#define READ read_it
#include "../sound.h"
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out) {
  (void)self, (void)records, (void)bytes;
  out->records = (const mfn_record*)(uintptr_t)8;
  out->n_records = 5;
  out->release = crash;
  say(call, "HALFWAY", "stopped in the middle");
  return MFN_PERMANENT;
}
