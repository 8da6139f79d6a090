/* DEFECT: addresses that cannot be one: a small number, one that is not aligned, one outside of
 * what a program can map. COST: that call. A wild address inside the process cannot be told from a
 * good one. */
#include "batch.h"
static int turn;
static void fill(mfn_batch* batch) {
  switch (turn++ % 4) {
    case 0:
      record.payload.data = (const uint8_t*)(uintptr_t)16;
      return;
    case 1:
      record.payload.data = (const uint8_t*)(UINTPTR_MAX - 2);
      record.payload.len = 64;
      return;
    case 2:
      batch->records = (const mfn_record*)(const void*)((const char*)&record + 1);
      return;
    default:
      record.attrs = (const mfn_kv*)(uintptr_t)0xdead00000000beefu;
      record.n_attrs = 1;
  }
}
