/* DEFECT: asks for extensions that cannot be, and answers every question about its own with an
 * address that is none. COST: none; NULL is the answer, and what is not asked for is not used. */
#include <mfn/plugin.h>
static const void* extension(void* self, const char* id) {
  return (void)self, (void)id, (const void*)(uintptr_t)16;
}
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#define EXTENSION extension
#include "../sound.h"
static char endless[1 << 16];
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  (void)self, (void)call, (void)batch;
  memset(endless, 'x', sizeof(endless) - 1);
  if (sound_host->extension(sound_host, NULL) != NULL) return MFN_PERMANENT;
  if (sound_host->extension(sound_host, "") != NULL) return MFN_PERMANENT;
  if (sound_host->extension(sound_host, "mfn.state/1\xff") != NULL) return MFN_PERMANENT;
  if (sound_host->extension(sound_host, endless) != NULL) return MFN_PERMANENT;
  return MFN_OK;
}
