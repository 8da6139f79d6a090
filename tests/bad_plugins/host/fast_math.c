/* DEFECT: lets small numbers be zero and rounds up, as a library that was built with -ffast-math
 * does to every thread that loads it. COST: none; the thread's arithmetic is put back, since
 * results must be the reference's to the last bit. With -DON_LOAD when it is loaded, else in every
 * call. */
#include <fenv.h>
#include <mfn/plugin.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
static void take_over(void) {
  fesetround(FE_UPWARD);
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040); /* flush to zero, denormals are zero */
#endif
}
#ifdef ON_LOAD
__attribute__((constructor)) static void load(void) { take_over(); }
#else
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  (void)self, (void)call, (void)batch;
  take_over();
  return MFN_OK;
}
#define WRITE write_it
#endif
#include "../sound.h"
