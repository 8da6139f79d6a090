/* DEFECT: a thread that outlives its instance and goes on running the library's code. COST: the
 * thread; libraries are never unloaded, so its code stays. (One that used the instance's mfn_host
 * after destroy would read memory that is gone, which nobody can contain.) */
#include <mfn/plugin.h>
#include <pthread.h>
#include <time.h>
static mfn_code create_it(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self);
#define CREATE create_it
#include "../sound.h"
static void* forever(void* nothing) {
  const struct timespec millisecond = {0, 1000000};
  while (nanosleep(&millisecond, NULL) <= 0) continue;
  return nothing;
}
static mfn_code create_it(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, forever, NULL) != 0) return MFN_RETRYABLE;
  pthread_detach(thread);
  return sound_create(call, host, json, self);
}
