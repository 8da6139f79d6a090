/* DEFECT: changes the locale, of the process and of the thread: numbers may then be printed with a
 * comma. COST: none; it is put back. With -DON_LOAD when it is loaded, else in every call. */
#define _GNU_SOURCE
#include <locale.h>
#include <mfn/plugin.h>
static locale_t mine; /* kept: a thread uses it */
static void take_over(void) {
  setlocale(LC_ALL, "C.UTF-8");
  if (mine == (locale_t)0) mine = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
  uselocale(mine);
}
#ifdef ON_LOAD
__attribute__((constructor)) static void load(void) { take_over(); }
#else
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  (void)self, (void)call, (void)batch;
  take_over();
  return MFN_OK;
}
#define WRITE write_it
#endif
#include "../sound.h"
