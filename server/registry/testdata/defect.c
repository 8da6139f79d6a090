/* A source, sink and executor that misbehave at run time as their config's "mode" says. */
#include <mfn/ext/state.h>
#include <mfn/plugin.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const mfn_host* host;
  char mode[32];
  uint64_t metric;
} instance;

static mfn_bytes bytes(const char* text) {
  mfn_bytes b;
  b.data = (const uint8_t*)text;
  b.len = strlen(text);
  return b;
}

static void say(const mfn_host* host, mfn_call* call, const char* reason, const char* message,
                const char* field) {
  mfn_failure failure = {sizeof(mfn_failure), 0, -1, {0, 0}, {0, 0}, {0, 0}};
  failure.reason = bytes(reason);
  failure.message = bytes(message);
  failure.field = bytes(field);
  host->fail(call, &failure);
}

static mfn_code validate(mfn_call* call, const mfn_host* host, mfn_bytes json) {
  if (json.len > 0 && memchr(json.data, '!', json.len) != NULL) {
    say(host, call, "INVALID_CONFIG", "must not shout", "/mode");
    return MFN_PERMANENT;
  }
  return MFN_OK;
}

/* The config is {"mode":"..."}: what stands between the last two quotes. */
static mfn_code create(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  instance* made = calloc(1, sizeof(*made));
  uint64_t end = json.len, begin;
  (void)call;
  while (end > 0 && json.data[end - 1] != '"') --end;
  begin = end - 1;
  while (begin > 0 && json.data[begin - 1] != '"') --begin;
  memcpy(made->mode, json.data + begin, end - 1 - begin);
  made->host = host;
  made->metric = host->metric(host, MFN_METRIC_COUNTER, bytes("reads"), NULL, 0);
  *self = made;
  return MFN_OK;
}

static void destroy(void* self) { free(self); }

static int released;
static void release(mfn_batch* batch) {
  (void)batch;
  ++released;
}

static mfn_record one;
static mfn_code read_batch(void* self, mfn_call* call, uint64_t max_records, uint64_t max_bytes,
                           mfn_batch* out) {
  instance* me = self;
  (void)max_bytes;
  me->host->metric_add(me->host, me->metric, 1);
  me->host->metric_add(me->host, me->metric, -5);
  me->host->metric_add(me->host, 77, 1);
  one.payload = bytes("x");
  out->release = release;
  out->records = &one;
  out->n_records = 1;
  if (strcmp(me->mode, "null_records") == 0) out->records = NULL;
  if (strcmp(me->mode, "too_many") == 0) out->n_records = max_records + 1;
  if (strcmp(me->mode, "null_data") == 0) {
    one.payload.data = NULL;
    one.payload.len = 5;
  }
  if (strcmp(me->mode, "huge") == 0) {
    one.payload.data = (const uint8_t*)"x";
    one.payload.len = UINT64_MAX - 1;
  }
  if (strcmp(me->mode, "unknown_code") == 0) return 4711;
  if (strcmp(me->mode, "cancelled") == 0) return MFN_CANCELLED;
  if (strcmp(me->mode, "bad_text") == 0) {
    say(me->host, call, "BAD\xff", "line\nbreak \xc3\xa4 \xed\xa0\x80", "");
    return MFN_PERMANENT;
  }
  if (strcmp(me->mode, "count") == 0) {
    static char text[16];
    text[0] = (char)('0' + released);
    one.payload = bytes(text);
  }
  return MFN_OK;
}
static mfn_code ack(void* self, mfn_call* call, uint64_t id, const mfn_code* codes, uint64_t n) {
  (void)self, (void)call, (void)id, (void)codes, (void)n;
  return MFN_OK;
}

/* mode "partial": record 1 is refused and record 2 fails in passing, in every call where there is
 * more than one record; fail_record beyond the batch is ignored. */
static mfn_code write_batch(void* self, mfn_call* call, const mfn_batch* batch) {
  instance* me = self;
  mfn_failure failure = {sizeof(mfn_failure), MFN_PERMANENT, -1, {0, 0}, {0, 0}, {0, 0}};
  if (strcmp(me->mode, "refuse") == 0) return MFN_PERMANENT;
  if (strcmp(me->mode, "partial") != 0 || batch->n_records == 1) return MFN_OK;
  failure.reason = bytes("REFUSED");
  me->host->fail_record(call, 1, &failure);
  me->host->fail_record(call, 99, &failure);
  failure.code = MFN_RETRYABLE;
  me->host->fail_record(call, 2, &failure);
  return MFN_OK;
}

/* Keeps the request under its key and answers with what was kept before. */
static void keep(void* context, mfn_bytes value) {
  char* buffer = context;
  memcpy(buffer, value.data, value.len < 63 ? value.len : 63);
}
static mfn_code execute(void* self, mfn_call* call, const mfn_record* request, mfn_batch* out) {
  instance* me = self;
  static char before[64];
  const mfn_state_v1* state = me->host->extension(me->host, MFN_STATE_V1);
  (void)call;
  if (me->host->extension(me->host, "mfn.nothing/1") != NULL || state == NULL) {
    return MFN_UNSUPPORTED;
  }
  memset(before, 0, sizeof(before));
  state->get(me->host, request->key, keep, before);
  state->put(me->host, request->key, request->payload);
  one.payload = bytes(before);
  out->records = &one;
  out->n_records = 1;
  return MFN_OK;
}

static const mfn_source source = {sizeof(mfn_source), 0, read_batch, ack, NULL};
static const mfn_sink sink = {sizeof(mfn_sink), 1, write_batch, NULL};
static const mfn_executor executor = {sizeof(mfn_executor), 1, execute};

static const mfn_component component = {
    sizeof(mfn_component),
    0,
    "defect",
    "",
    "{\"type\":\"object\",\"properties\":{\"mode\":{\"type\":\"string\"}}}",
    validate,
    create,
    NULL,
    NULL,
    destroy,
    &source,
    &sink,
    &executor,
    NULL};
static const mfn_component* const components[] = {&component};
static const mfn_plugin plugin = {sizeof(mfn_plugin), 0, "org.example.defect", "1", "", "",
                                  components,         1};

const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) { return (void)minor, &plugin; }
