/* DEFECT: calls fail and fail_record, which are for the call's thread, from another one, during the
 * call. COST: none; they are ignored. */
#include <mfn/plugin.h>
#include <pthread.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#include "../sound.h"
static void* foreign(void* call) {
  mfn_failure failure = {sizeof(mfn_failure), MFN_PERMANENT, -1, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  failure.reason = text("FOREIGN");
  sound_host->fail(call, &failure);
  sound_host->fail_record(call, 0, &failure);
  return NULL;
}
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  pthread_t thread;
  (void)self, (void)batch;
  say(call, "OWN", "what the call itself says");
  if (pthread_create(&thread, NULL, foreign, call) != 0) return MFN_RETRYABLE;
  pthread_join(thread, NULL);
  return MFN_PERMANENT;
}
