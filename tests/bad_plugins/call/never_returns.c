/* DEFECT: a call that never returns. COST: that call and that instance, which is replaced; its
 * thread is written off. */
#include <mfn/plugin.h>
#include <unistd.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  (void)self, (void)call, (void)batch;
  while (pause() < 0) continue;
  return MFN_OK;
}
#define WRITE write_it
#include "../sound.h"
