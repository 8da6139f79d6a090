/* DEFECT: changes the working directory when it is loaded. COST: none; it is put back. */
#include <mfn/plugin.h>
#include <unistd.h>
__attribute__((constructor)) static void load(void) {
  if (chdir("/") != 0) _exit(1);
}
#include "../sound.h"
