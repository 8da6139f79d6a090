/* DEFECT: a new metric per record, as from who puts ids into names. COST: the metrics beyond the
 * bound; their id is 0, and adding to it does nothing. */
#include <mfn/plugin.h>
#include <stdio.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch);
#define WRITE write_it
#include "../sound.h"
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  int i;
  (void)self, (void)call, (void)batch;
  for (i = 0; i < 20000; ++i) {
    char name[32];
    snprintf(name, sizeof(name), "record_%d", i);
    sound_host->metric_add(
        sound_host, sound_host->metric(sound_host, MFN_METRIC_COUNTER, text(name), NULL, 0), 1);
  }
  sound_host->metric(sound_host, 77, text("no_kind"), NULL, 0);
  sound_host->metric(sound_host, MFN_METRIC_GAUGE, text(NULL), NULL, 0);
  sound_host->metric(sound_host, MFN_METRIC_GAUGE, text("labels"), NULL, UINT64_MAX);
  sound_host->metric_add(sound_host, UINT64_MAX, 1);
  return MFN_OK;
}
