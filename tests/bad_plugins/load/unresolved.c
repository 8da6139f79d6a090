/* DEFECT: needs a symbol that no library has. COST: the file is not loaded; the linker's words are
 * passed on. */
#include <mfn/plugin.h>
mfn_code a_function_that_nobody_has(void);
static mfn_code check(void* self, mfn_call* call) {
  return (void)self, (void)call, a_function_that_nobody_has();
}
#define CHECK check
#include "../sound.h"
