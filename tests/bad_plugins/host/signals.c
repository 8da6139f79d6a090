/* DEFECT: installs signal handlers: SIGTERM no longer stops the server, and a broken pipe ends it.
 * COST: none; they are put back, and the log names the library. With -DON_LOAD when it is loaded,
 * else in every call. */
#include <mfn/plugin.h>
#include <signal.h>
static void swallow(int signal_number) { (void)signal_number; }
static void take_over(void) {
  signal(SIGTERM, swallow);
  signal(SIGPIPE, SIG_DFL);
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
