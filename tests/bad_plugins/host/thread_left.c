/* DEFECT: a thread that outlives its instance, and goes on logging and counting with the host that
 * went with it. COST: the thread; what it says is dropped. */
#include <mfn/plugin.h>
#include <pthread.h>
#include <time.h>
static mfn_code create_it(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self);
#define CREATE create_it
#include "../sound.h"
static void* forever(void* host_in) {
  const mfn_host* host = host_in;
  const struct timespec millisecond = {0, 1000000};
  for (;;) {
    host->log(host, MFN_LOG_INFO, text("still here"));
    host->metric_add(host, 1, 1);
    nanosleep(&millisecond, NULL);
  }
}
static mfn_code create_it(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  pthread_t thread;
  union {
    const mfn_host* in;
    void* out;
  } shared;
  shared.in = host;
  if (pthread_create(&thread, NULL, forever, shared.out) != 0) return MFN_RETRYABLE;
  pthread_detach(thread);
  return sound_create(call, host, json, self);
}
