/* DEFECT: a static initialiser that forks, and both hang. COST: the file is not loaded; nothing of
 * it is left running. */
#include <signal.h>
#include <unistd.h>

#include "../sound.h"
__attribute__((constructor)) static void wait_for_ever(void) {
  fork();
  signal(SIGTERM, SIG_IGN);
  for (;;) pause();
}
