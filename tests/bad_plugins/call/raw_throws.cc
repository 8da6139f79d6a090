// DEFECT: C++ without the wrapper: exceptions leave through the C functions, also where there is
// nobody to tell. COST: that call; those of release and destroy cost nothing but a line in the log.
#include <mfn/plugin.h>

#include <stdexcept>
#include <string>

static mfn_code Throw(const char* where) {
  throw std::runtime_error(std::string("thrown in ") + where);
}
static mfn_code Validate(mfn_call*, const mfn_host*, mfn_bytes json) {
  // {"throw":true} and nothing else is that long.
  return json.len > 10 ? Throw("validate") : MFN_OK;
}
static mfn_code Check(void*, mfn_call*) { return Throw("check"); }
static void Destroy(void*) { Throw("destroy"); }
static void Release(mfn_batch*) { Throw("release"); }
static mfn_record empty_record;
static mfn_code Read(void*, mfn_call*, uint64_t, uint64_t, mfn_batch* out) {
  out->records = &empty_record;
  out->n_records = 1;
  out->release = Release;
  return MFN_OK;
}
static mfn_code Ack(void*, mfn_call*, uint64_t, const mfn_code*, uint64_t) { throw 7; }
static mfn_code Write(void*, mfn_call*, const mfn_batch*) { return Throw("write"); }
#define VALIDATE Validate
#define CHECK Check
#define DESTROY Destroy
#define READ Read
#define ACK Ack
#define WRITE Write
#include "../sound.h"
