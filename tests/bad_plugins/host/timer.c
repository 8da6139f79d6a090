/* DEFECT: sets the process's alarm clock, which ends the process when it rings, and blocks signals
 * in the thread that loads it. COST: none; the clock is stopped. */
#include <mfn/plugin.h>
#include <signal.h>
#include <unistd.h>
__attribute__((constructor)) static void load(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  alarm(1);
}
#include "../sound.h"
