/* DEFECT: create returns MFN_OK and no instance. COST: that instance. */
#include <mfn/plugin.h>
static mfn_code create_it(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  return (void)call, (void)host, (void)json, (void)self, MFN_OK;
}
#define CREATE create_it
#include "../sound.h"
