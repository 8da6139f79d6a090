/* DEFECT: speaks of records that are not there, with structs of sizes that are not true, and of
 * nothing. COST: none beyond what the call itself returned. */
#include <mfn/plugin.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#include "../sound.h"
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  mfn_failure failure = {sizeof(mfn_failure), MFN_PERMANENT, -1, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  struct {
    mfn_failure known;
    uint8_t tail[64];
  } later;
  uint64_t i;
  (void)self;
  sound_host->fail(call, NULL);
  sound_host->fail_record(call, 0, NULL);
  for (i = 0; i < 100000; ++i) sound_host->fail_record(call, batch->n_records + i, &failure);
  sound_host->fail_record(call, UINT64_MAX, &failure);
  failure.struct_size = 4; /* ends before its code */
  sound_host->fail_record(call, 1, &failure);
  failure.struct_size = sizeof(failure);
  failure.reason.len = 5; /* NULL with a length */
  sound_host->fail_record(call, 2, &failure);
  memset(&later, 0xAB, sizeof(later));
  failure.reason = text("LATER");
  later.known = failure;
  later.known.struct_size = sizeof(later);
  for (i = 0; i < 100000; ++i) sound_host->fail_record(call, 3, &later.known);
  return MFN_OK;
}
