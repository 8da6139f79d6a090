/* DEFECT: a static initialiser that writes to the standard output without end, from many processes
 * so that there is always more to read. COST: the file is not loaded, and the time that the probe
 * is given. */
#include <string.h>
#include <unistd.h>

#include "../sound.h"
__attribute__((constructor)) static void write_for_ever(void) {
  static char block[1 << 16];
  memset(block, 'x', sizeof(block));
  for (int i = 0; i < 3; ++i) fork();
  while (write(STDOUT_FILENO, block, sizeof(block)) > 0) {
  }
}
