/* DEFECT: a destroy that never returns. COST: its thread; deleting the instance and the end of the
 * server do not wait for it. */
#include <mfn/plugin.h>
#include <unistd.h>
static void destroy_it(void* self) {
  (void)self;
  for (;;) pause();
}
#define DESTROY destroy_it
#include "../sound.h"
