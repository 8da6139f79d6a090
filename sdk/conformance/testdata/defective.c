/* A component with every role that is sound, unless its configuration names a defect:
 * {"defect": "read.too_many"}. Defects of the library itself are chosen by a macro, DEFECT_<NAME>.
 * tests/sdk/check_test.py says which case of mfn-plugin-check must find which. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <mfn/plugin.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const mfn_host* host;
  char defect[32];
  uint64_t next, ack_id;
  const mfn_record* kept;
} instance;

static int is(const instance* me, const char* defect) { return strcmp(me->defect, defect) == 0; }

static mfn_bytes text(const char* words) {
  mfn_bytes bytes = {(const uint8_t*)words, strlen(words)};
  return bytes;
}

static mfn_code fail(const mfn_host* host, mfn_call* call, mfn_code code, const char* reason,
                     const char* message, const char* field) {
  mfn_failure failure = {sizeof(mfn_failure), code, -1, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  failure.reason = text(reason);
  failure.message = text(message);
  if (field != NULL) failure.field = text(field);
  host->fail(call, &failure);
  return code;
}

/* Sleeps in small steps until the call is over; an instance may be told to oversleep. */
static void wait_for_end(const instance* me, mfn_call* call, const char* deaf) {
  int steps = 0;
  while (is(me, deaf) ? ++steps < 600 : !me->host->cancelled(call)) usleep(1000);
}

/* The configuration is {"defect":"..."} at most: what stands between the last two quotes. */
static void name_of(mfn_bytes json, char* name) {
  uint64_t end = json.len, begin;
  while (end > 0 && json.data[end - 1] != '"') --end;
  if (end == 0) return;
  begin = --end;
  while (begin > 0 && json.data[begin - 1] != '"') --begin;
  if (end - begin < 32) memcpy(name, json.data + begin, end - begin);
}

static mfn_code validate(mfn_call* call, const mfn_host* host, mfn_bytes json) {
  char name[32] = "";
  name_of(json, name);
  if (strcmp(name, "bad.pointer") == 0) {
    return fail(host, call, MFN_PERMANENT, "INVALID_CONFIG", "refused", "defect");
  }
  if (strcmp(name, "bad.no_pointer") == 0) {
    return fail(host, call, MFN_PERMANENT, "INVALID_CONFIG", "refused", NULL);
  }
  if (strcmp(name, "bad.passing") == 0) {
    return fail(host, call, MFN_RETRYABLE, "INVALID_CONFIG", "refused", "/defect");
  }
  if (strcmp(name, "fuzz.crash") == 0) abort();
  if (strcmp(name, "fuzz.hang") == 0) pause();
  return MFN_OK;
}

static void* forever(void* nothing) {
  pause();
  return nothing;
}

static mfn_code create(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  instance* me = calloc(1, sizeof(*me));
  pthread_t thread;
  if (me == NULL) return fail(host, call, MFN_RETRYABLE, "OUT_OF_MEMORY", "no memory", NULL);
  me->host = host;
  name_of(json, me->defect);
  if (is(me, "leak.thread")) pthread_create(&thread, NULL, forever, NULL);
  if (is(me, "leak.file") && open("/dev/null", O_RDONLY) < 0) abort();
  if (is(me, "leak.memory")) me->kept = malloc(100);
  if (is(me, "changes.locale")) setlocale(LC_ALL, "C.UTF-8");
  if (is(me, "changes.signal")) signal(SIGTERM, SIG_IGN);
  if (is(me, "changes.directory") && chdir("/") != 0) abort();
  if (is(me, "prints")) puts("hello");
  if (is(me, "exits")) exit(0);
  if (is(me, "needs.extension") && host->extension(host, "mfn.state/1") == NULL) abort();
  *self = me;
  return MFN_OK;
}

static mfn_code connect(void* self, mfn_call* call) {
  instance* me = self;
  if (is(me, "connect.deaf")) wait_for_end(me, call, "connect.deaf");
  return is(me, "connect.silent") ? MFN_RETRYABLE : MFN_OK;
}

static void destroy(void* self) {
  if (is(self, "destroy.crash")) abort();
  free(self);
}

static const void* extension(void* self, const char* id) {
  (void)id;
  return is(self, "extension.any") ? self : NULL;
}

typedef struct {
  mfn_record records[4];
  char ids[4][32], payloads[4][8];
} own_batch;
static own_batch shared;

static void release(mfn_batch* batch) { free(batch->private_data); }
static void release_nothing(mfn_batch* batch) { (void)batch; }

/* A ring of five records. */
static mfn_code read_some(void* self, mfn_call* call, uint64_t max_records, uint64_t max_bytes,
                          mfn_batch* out) {
  static uint64_t counter;
  instance* me = self;
  own_batch* made;
  uint64_t n = max_records < 4 ? max_records : 4, i;
  if (is(me, "read.unknown_code")) return 4711;
  if (is(me, "read.silent")) return MFN_PERMANENT;
  if (is(me, "read.deaf")) return wait_for_end(me, call, "read.deaf"), MFN_OK;
  if (is(me, "read.waits")) return wait_for_end(me, call, ""), MFN_OK;
  if (is(me, "read.wakes_late")) return wait_for_end(me, call, ""), MFN_CANCELLED;
  if (is(me, "read.too_many")) n = 4;
  if (n == 0) return MFN_OK;
  made = is(me, "read.shares") ? &shared : calloc(1, sizeof(*made));
  for (i = 0; i < n; ++i) {
    mfn_record* record = &made->records[i];
    const int at = (int)(me->next++);
    snprintf(made->ids[i], sizeof(made->ids[i]), "ring@%d",
             is(me, "read.other_ids") ? (int)++counter + (int)getpid() : at);
    snprintf(made->payloads[i], sizeof(made->payloads[i]), "%d", at % 5);
    if (!is(me, "read.no_id")) record->id = text(is(me, "read.same_id") ? "x" : made->ids[i]);
    record->payload = text(made->payloads[i]);
    if (is(me, "read.null_data")) record->payload.data = NULL;
    record->time_unix_ns = MFN_TIME_ABSENT;
    if (max_bytes <= i + 1 && !is(me, "read.greedy")) {
      n = i + 1;
      break;
    }
  }
  out->records = is(me, "read.null_records") ? NULL : made->records;
  out->n_records = n;
  out->ack_id = is(me, "read.same_ack") ? 1 : ++me->ack_id;
  out->release = is(me, "read.shares") ? release_nothing : release;
  out->private_data = made;
  if (!is(me, "read.fills_failure")) return MFN_OK;
  return fail(me->host, call, MFN_RETRYABLE, "LATE", "it failed late", NULL);
}

static mfn_code ack(void* self, mfn_call* call, uint64_t id, const mfn_code* outcomes, uint64_t n) {
  instance* me = self;
  uint64_t i;
  (void)id;
  for (i = 0; is(me, "ack.strict") && outcomes != NULL && i < n; ++i) {
    if (outcomes[i] != MFN_OK) {
      return fail(me->host, call, MFN_PERMANENT, "UNKNOWN_OUTCOME", "what is that?", NULL);
    }
  }
  return MFN_OK;
}

static volatile int looked_at;

static mfn_code write_all(void* self, mfn_call* call, const mfn_batch* batch) {
  instance* me = self;
  mfn_failure failure = {sizeof(mfn_failure), MFN_PERMANENT, -1, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  if (is(me, "write.deaf")) wait_for_end(me, call, "write.deaf");
  if (is(me, "write.end")) return MFN_END;
  if (is(me, "write.changes")) *(uint8_t*)(uintptr_t)batch->records[0].payload.data = '!';
  if (is(me, "write.needs_payload")) looked_at = batch->records[0].payload.data[0];
  if (is(me, "write.keeps") && me->kept != NULL && me->kept->id.len > 1000) return MFN_OK;
  if (is(me, "write.keeps")) me->kept = batch->records;
  if (is(me, "write.beyond")) me->host->fail_record(call, batch->n_records, &failure);
  if (is(me, "write.reason")) {
    return fail(me->host, call, MFN_RETRYABLE, "the disk is full", "no space", NULL);
  }
  return MFN_OK;
}

static mfn_code flush(void* self, mfn_call* call) {
  instance* me = self;
  if (is(me, "flush.deaf")) wait_for_end(me, call, "flush.deaf");
  return MFN_OK;
}

static mfn_code execute(void* self, mfn_call* call, const mfn_record* request, mfn_batch* out) {
  instance* me = self;
  if (is(me, "execute.echoes")) {
    /* The answer's bytes are the request's own. */
    out->private_data = calloc(1, sizeof(mfn_record));
    memcpy(out->private_data, request, sizeof(*request));
    out->records = out->private_data;
    out->n_records = 1;
    out->release = release;
    return MFN_OK;
  }
  return read_some(self, call, 1, 1, out);
}

static const mfn_source kSource = {sizeof(mfn_source), 0, read_some, ack, NULL};
static const mfn_sink kSink = {sizeof(mfn_sink), 4, write_all, flush};
static const mfn_executor kExecutor = {sizeof(mfn_executor), 1, execute};

#ifdef DEFECT_LOOSE_SCHEMA
#define MORE ""
#else
#define MORE "\"additionalProperties\": false, "
#endif
/* What the fuzzer shall find stands in the schema. */
#ifdef DEFECT_FOUND
#define FOUND ", \"enum\": [\"\", \"" DEFECT_FOUND "\"]"
#else
#define FOUND ", \"maxLength\": 31"
#endif
static const mfn_component kComponent = {
    sizeof(mfn_component),
    0,
    "defective",
    "Sound, unless told otherwise",
    "{\"type\": \"object\", " MORE "\"properties\": {\"defect\": {\"type\": \"string\"" FOUND "}}}",
    validate,
    create,
    connect,
    NULL,
    destroy,
    &kSource,
    &kSink,
    &kExecutor,
    extension};
static const mfn_component* const kComponents[] = {&kComponent};
static mfn_plugin plugins[2] = {{sizeof(mfn_plugin), MFN_ABI_MINOR, "org.example.defective", "1",
                                 "Example", "MIT", kComponents, 1}};

#ifdef DEFECT_LOAD_SIGNAL
__attribute__((constructor)) static void at_load(void) { signal(SIGCHLD, SIG_IGN); }
#endif
#ifdef DEFECT_EXPORTS
MFN_EXPORT int inflate(void) { return 1; }
#endif

const mfn_plugin* mfn_plugin_entry_v1(uint32_t host_abi_minor) {
  int which = 0;
  (void)host_abi_minor;
#ifdef DEFECT_ENTRY
  static int calls;
  which = calls++ % 2;
  plugins[1] = plugins[0];
#endif
  return &plugins[which];
}
