/* DEFECT: MFN_END, which is for read alone, from write and execute; as from who returns `true`.
 * COST: that call. Taken as success it would lose the records. */
#include <mfn/plugin.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  return (void)self, (void)call, (void)batch, 1;
}
static mfn_code execute_it(void* self, mfn_call* call, const mfn_record* request, mfn_batch* out) {
  return (void)self, (void)call, (void)request, (void)out, 1;
}
#define WRITE write_it
#define EXECUTE execute_it
#include "../sound.h"
