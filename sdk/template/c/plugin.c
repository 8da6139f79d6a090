/* A starter in C: an executor that answers a request with its own payload. */
#include <mfn/plugin.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const mfn_host* host;
} echo;

/* What a batch owns: the record and its payload in one allocation. */
typedef struct {
  mfn_record record;
  uint8_t payload[1];
} answer;

static mfn_bytes text(const char* s) {
  mfn_bytes bytes;
  bytes.data = (const uint8_t*)s;
  bytes.len = strlen(s);
  return bytes;
}

static mfn_code fail(const mfn_host* host, mfn_call* call, mfn_code code, const char* reason,
                     const char* message) {
  mfn_failure failure;
  memset(&failure, 0, sizeof failure);
  failure.struct_size = sizeof failure;
  failure.code = code;
  failure.retry_after_ms = -1;
  failure.reason = text(reason);
  failure.message = text(message);
  host->fail(call, &failure);
  return code;
}

static mfn_code echo_create(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  echo* made = malloc(sizeof *made);
  (void)json;
  if (made == NULL) return fail(host, call, MFN_RETRYABLE, "OUT_OF_MEMORY", "no memory");
  made->host = host;
  *self = made;
  return MFN_OK;
}

static void echo_destroy(void* self) { free(self); }

static void answer_release(mfn_batch* batch) { free(batch->private_data); }

static mfn_code echo_execute(void* self, mfn_call* call, const mfn_record* request,
                             mfn_batch* out) {
  const mfn_host* host = ((echo*)self)->host;
  answer* made;
  if (request->payload.data == NULL) {
    return fail(host, call, MFN_PERMANENT, "NO_PAYLOAD", "the request has no payload");
  }
  made = malloc(sizeof *made + request->payload.len);
  if (made == NULL) return fail(host, call, MFN_RETRYABLE, "OUT_OF_MEMORY", "no memory");
  memset(&made->record, 0, sizeof made->record);
  memcpy(made->payload, request->payload.data, request->payload.len);
  made->record.payload.data = made->payload;
  made->record.payload.len = request->payload.len;
  made->record.time_unix_ns = MFN_TIME_ABSENT;
  out->records = &made->record;
  out->n_records = 1;
  out->release = answer_release;
  out->private_data = made;
  return MFN_OK;
}

static const mfn_executor kExecutor = {sizeof(mfn_executor), 1, echo_execute};

static const mfn_component kEcho = {sizeof(mfn_component),
                                    0,
                                    "echo",
                                    "Answers a request with its payload",
                                    "{\"type\": \"object\", \"additionalProperties\": false}",
                                    NULL /* validate */,
                                    echo_create,
                                    NULL /* connect */,
                                    NULL /* check */,
                                    echo_destroy,
                                    NULL /* source */,
                                    NULL /* sink */,
                                    &kExecutor,
                                    NULL /* extension */};

static const mfn_component* const kComponents[] = {&kEcho};

static const mfn_plugin kPlugin = {sizeof(mfn_plugin),
                                   MFN_ABI_MINOR,
                                   "org.example.starter-c",
                                   "0.1.0",
                                   "Example",
                                   "MIT",
                                   kComponents,
                                   1};

const mfn_plugin* mfn_plugin_entry_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &kPlugin;
}
