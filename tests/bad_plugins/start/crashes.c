/* DEFECT: a static initialiser that crashes. COST: the file is not loaded; the probe ends in its
 * place. */
#include "../sound.h"
static int* volatile nowhere = NULL;
__attribute__((constructor)) static void crash(void) { *nowhere = 1; }
