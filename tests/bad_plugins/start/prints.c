/* DEFECT: prints while it is loaded, and even an answer like the probe's. COST: none; the probe
 * answers elsewhere. */
#include <stdio.h>

#include "../sound.h"
__attribute__((constructor)) static void print(void) {
  puts("{\"code\": 3, \"message\": \"printed by the plugin\"}");
  fflush(stdout);
}
