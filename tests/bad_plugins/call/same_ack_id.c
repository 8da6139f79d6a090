/* DEFECT: every batch has the same ack_id, and an ack of what is not out is refused. COST: those
 * acks; each batch is acked once all the same. */
#include <mfn/plugin.h>
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out);
static mfn_code ack_it(void* self, mfn_call* call, uint64_t id, const mfn_code* codes, uint64_t n);
#define READ read_it
#define ACK ack_it
#include "../sound.h"
static int out_there;
static mfn_code read_it(void* self, mfn_call* call, uint64_t records, uint64_t bytes,
                        mfn_batch* out) {
  const mfn_code code = sound_read(self, call, records, bytes, out);
  out->ack_id = 7;
  out_there = 1;
  return code;
}
static mfn_code ack_it(void* self, mfn_call* call, uint64_t id, const mfn_code* codes, uint64_t n) {
  (void)self, (void)id, (void)codes, (void)n;
  if (!out_there) {
    say(call, "UNKNOWN_ACK", "no batch 7 is out");
    return MFN_PERMANENT;
  }
  out_there = 0;
  return MFN_OK;
}
