/* DEFECT: a hundred thousand log lines in one call. COST: all but the first of them; a line says
 * how many were left out. */
#include <mfn/plugin.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#include "../sound.h"
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  int i;
  (void)self, (void)call, (void)batch;
  for (i = 0; i < 100000; ++i) sound_host->log(sound_host, MFN_LOG_ERROR, text("again"));
  return MFN_OK;
}
