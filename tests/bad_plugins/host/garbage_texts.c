/* DEFECT: texts that are no UTF-8, hold newlines and zeros, are a mebibyte long, or are absent.
 * COST: that call; the texts are cut and made fit to print. */
#include <mfn/plugin.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#include "../sound.h"
static char large[1 << 20];
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  mfn_failure failure = {sizeof(mfn_failure), 0, -1, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  mfn_bytes bytes = text("line one\nline two\x1b[2J \xc3\xa4 \xed\xa0\x80");
  (void)self, (void)batch;
  sound_host->log(sound_host, 99, bytes);
  bytes.data = NULL;
  sound_host->log(sound_host, -99, bytes);
  memset(large, 0xff, sizeof(large));
  bytes.data = (const uint8_t*)large;
  bytes.len = sizeof(large);
  sound_host->log(sound_host, MFN_LOG_INFO, bytes);
  failure.reason = failure.message = failure.field = bytes;
  sound_host->fail(call, &failure);
  return MFN_PERMANENT;
}
