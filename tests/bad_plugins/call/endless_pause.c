/* DEFECT: asks to be left alone for a million years. COST: that call; the pause is cut. */
#include <mfn/plugin.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#include "../sound.h"
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  mfn_failure failure = {sizeof(mfn_failure), 0, INT64_MAX, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  (void)self, (void)batch;
  sound_host->fail(call, &failure);
  return MFN_THROTTLED;
}
