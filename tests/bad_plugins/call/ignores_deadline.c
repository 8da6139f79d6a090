/* DEFECT: returns, but two seconds after it should have. COST: that call and that instance; what it
 * brings is released, and not looked at. */
#include <mfn/plugin.h>
#include <time.h>
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out);
#define READ read_it
#include "../sound.h"
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out) {
  const struct timespec two_seconds = {2, 0};
  nanosleep(&two_seconds, NULL);
  return sound_read(self, call, records, bytes, out);
}
