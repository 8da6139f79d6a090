/* DEFECT: codes that no version of the ABI has. COST: that call, as MFN_PERMANENT. */
#include <mfn/plugin.h>
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out) {
  return (void)self, (void)call, (void)records, (void)bytes, (void)out, 4711;
}
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  return (void)self, (void)call, (void)batch, INT32_MIN;
}
#define READ read_it
#define WRITE write_it
#include "../sound.h"
