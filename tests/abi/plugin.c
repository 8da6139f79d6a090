/* A plugin with every role and a use for every service of the host, in plain C99: what was built
 * from a frozen header must go on running. Its executor answers with what has happened so far. */
#include <mfn/ext/state.h>
#include <mfn/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kRecords = 3 };

typedef struct {
  const mfn_host* host;
  uint64_t metric;
  int32_t connected;
  uint64_t next;
} instance;

/* Of all instances, since the source, the sink and the executor are three of them. */
static struct {
  int reads, acked, released, written, tombstones, flushed, validated, created, destroyed;
} seen;

static mfn_bytes text(const char* words) {
  mfn_bytes bytes;
  bytes.data = (const uint8_t*)words;
  bytes.len = strlen(words);
  return bytes;
}

static mfn_code fail(const mfn_host* host, mfn_call* call, mfn_code code, const char* reason,
                     const char* message, const char* field) {
  mfn_failure failure;
  memset(&failure, 0, sizeof(failure));
  failure.struct_size = sizeof(failure);
  failure.code = code;
  failure.retry_after_ms = -1;
  failure.reason = text(reason);
  failure.message = text(message);
  if (field != NULL) failure.field = text(field);
  host->fail(call, &failure);
  return code;
}

static mfn_code validate(mfn_call* call, const mfn_host* host, mfn_bytes json) {
  ++seen.validated;
  if (json.len > 2 && memchr(json.data, '!', json.len) != NULL) {
    return fail(host, call, MFN_PERMANENT, "INVALID_CONFIG", "must not shout", "/words");
  }
  return MFN_OK;
}

static mfn_code create(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  instance* made = calloc(1, sizeof(*made));
  (void)json;
  if (made == NULL) return fail(host, call, MFN_RETRYABLE, "OUT_OF_MEMORY", "no memory", NULL);
  made->host = host;
  made->metric = host->metric(host, MFN_METRIC_COUNTER, text("abi_records"), NULL, 0);
  host->log(host, MFN_LOG_INFO, text("made from a frozen header"));
  ++seen.created;
  *self = made;
  return MFN_OK;
}

static mfn_code connect(void* self, mfn_call* call) {
  (void)call;
  ((instance*)self)->connected = 1;
  return MFN_OK;
}

static mfn_code check(void* self, mfn_call* call) {
  instance* me = self;
  return me->host->cancelled(call) ? MFN_CANCELLED : MFN_OK;
}

static void destroy(void* self) {
  ++seen.destroyed;
  free(self);
}

static void release(mfn_batch* batch) {
  ++seen.released;
  free(batch->private_data);
}

/* The record and its texts in one allocation. */
typedef struct {
  mfn_record record;
  mfn_kv attr;
  char id[16], payload[32];
} one_record;

static mfn_code read_one(void* self, mfn_call* call, uint64_t max_records, uint64_t max_bytes,
                         mfn_batch* out) {
  instance* me = self;
  one_record* made;
  (void)max_bytes;
  ++seen.reads;
  if (!me->connected || me->host->deadline_ns(call) == 0) return MFN_NOT_CONNECTED;
  if (max_records == 0) return MFN_OK;
  if (me->next == kRecords) return MFN_END;
  made = calloc(1, sizeof(*made));
  if (made == NULL) return MFN_RETRYABLE;
  snprintf(made->id, sizeof(made->id), "abi@%d", (int)me->next);
  snprintf(made->payload, sizeof(made->payload), "{\"n\":%d}", (int)me->next);
  made->attr.key = text("content-type");
  made->attr.value = text("application/json");
  made->record.id = text(made->id);
  made->record.payload = text(made->payload);
  made->record.attrs = &made->attr;
  made->record.n_attrs = 1;
  made->record.time_unix_ns = MFN_TIME_ABSENT;
  out->records = &made->record;
  out->n_records = 1;
  out->ack_id = ++me->next;
  out->release = release;
  out->private_data = made;
  return MFN_OK;
}

static mfn_code ack(void* self, mfn_call* call, uint64_t ack_id, const mfn_code* outcomes,
                    uint64_t n) {
  (void)self, (void)call;
  if (ack_id > 0 && (outcomes == NULL || (n == 1 && outcomes[0] == MFN_OK))) ++seen.acked;
  return MFN_OK;
}

static mfn_code lane_released(void* self, mfn_call* call, uint64_t lane) {
  (void)self, (void)call, (void)lane;
  return MFN_OK;
}

static mfn_code write_all(void* self, mfn_call* call, const mfn_batch* batch) {
  instance* me = self;
  uint64_t i;
  for (i = 0; i < batch->n_records; ++i) {
    if (batch->records[i].payload.data == NULL) {
      mfn_failure failure;
      memset(&failure, 0, sizeof(failure));
      failure.struct_size = sizeof(failure);
      failure.code = MFN_PERMANENT;
      failure.reason = text("TOMBSTONE");
      me->host->fail_record(call, i, &failure);
      ++seen.tombstones;
    } else {
      me->host->metric_add(me->host, me->metric, 1);
      ++seen.written;
    }
  }
  return MFN_OK;
}

static mfn_code flush(void* self, mfn_call* call) {
  (void)self, (void)call;
  ++seen.flushed;
  return MFN_OK;
}

static void copy(void* context, mfn_bytes value) {
  if (value.len < 32) memcpy(context, value.data, value.len);
}

static mfn_code execute(void* self, mfn_call* call, const mfn_record* request, mfn_batch* out) {
  instance* me = self;
  const mfn_state_v1* state = me->host->extension(me->host, MFN_STATE_V1);
  static struct {
    mfn_record record;
    char text[256];
  } answer;
  char before[32] = "";
  (void)call;
  if (state == NULL || me->host->extension(me->host, "org.example.nothing/1") != NULL) {
    return MFN_UNSUPPORTED;
  }
  state->get(me->host, text("last"), copy, before);
  if (state->put(me->host, text("last"), request->payload) != MFN_OK) return MFN_RETRYABLE;
  snprintf(answer.text, sizeof(answer.text),
           "{\"acked\":%d,\"released\":%d,\"written\":%d,\"tombstones\":%d,\"flushed\":%d,"
           "\"validated\":%d,\"created\":%d,\"destroyed\":%d,\"before\":\"%s\"}",
           seen.acked, seen.released, seen.written, seen.tombstones, seen.flushed, seen.validated,
           seen.created, seen.destroyed, before);
  answer.record.payload = text(answer.text);
  answer.record.time_unix_ns = MFN_TIME_ABSENT;
  out->records = &answer.record;
  out->n_records = 1;
  return MFN_OK;
}

static const mfn_source kSource = {sizeof(mfn_source), 0, read_one, ack, lane_released};
static const mfn_sink kSink = {sizeof(mfn_sink), 1, write_all, flush};
static const mfn_executor kExecutor = {sizeof(mfn_executor), 1, execute};
static const mfn_component kComponent = {sizeof(mfn_component),
                                         MFN_DEFERRED,
                                         "abi-" FROZEN,
                                         "Every role, from a frozen header",
                                         "{\"type\": \"object\", \"additionalProperties\": false,"
                                         " \"properties\": {\"words\": {\"type\": \"string\"}}}",
                                         validate,
                                         create,
                                         connect,
                                         check,
                                         destroy,
                                         &kSource,
                                         &kSink,
                                         &kExecutor,
                                         NULL};
static const mfn_component* const kComponents[] = {&kComponent};
static const mfn_plugin kPlugin = {sizeof(mfn_plugin),
                                   MFN_ABI_MINOR,
                                   "org.mfnd.abi-" FROZEN,
                                   "1.0.0",
                                   "mfnd",
                                   "MIT",
                                   kComponents,
                                   1};

const mfn_plugin* mfn_plugin_entry_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &kPlugin;
}
