/* DEFECT: a static initialiser that never returns. COST: the file is not loaded, and the time that
 * the probe is given. */
#include <unistd.h>

#include "../sound.h"
__attribute__((constructor)) static void wait_for_ever(void) {
  for (;;) pause();
}
