/* DEFECT: prints, in every call, to stdout and stderr. COST: the lines, which nobody parses. */
#include <mfn/plugin.h>
#include <stdio.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  (void)self, (void)call, (void)batch;
  puts("{\"level\": \"printed by a plugin\"}");
  fputs("and to stderr\n", stderr);
  fflush(stdout);
  return MFN_OK;
}
#define WRITE write_it
#include "../sound.h"
