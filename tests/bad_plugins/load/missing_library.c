/* DEFECT: linked with a library that is not installed. COST: the file is not loaded; the error
 * names the library. */
#include <mfn/plugin.h>
int needed(void);
static mfn_code check(void* self, mfn_call* call) { return (void)self, (void)call, needed(); }
#define CHECK check
#include "../sound.h"
