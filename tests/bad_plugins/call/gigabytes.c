/* DEFECT: one record of three gigabytes. COST: that call; nothing of it is read or copied. */
#include <sys/mman.h>

#include "batch.h"
static void fill(mfn_batch* batch) {
  static void* mapped;
  const size_t size = (size_t)3 << 30;
  (void)batch;
  if (mapped == NULL) {
    mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
  }
  record.payload.data = mapped;
  record.payload.len = size;
}
