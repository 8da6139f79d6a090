/* DEFECT: a static initialiser that ends the process. COST: the file is not loaded. */
#include <stdio.h>
#include <stdlib.h>

#include "../sound.h"
__attribute__((constructor)) static void leave(void) {
  fputs("no licence found\n", stderr);
  exit(3);
}
