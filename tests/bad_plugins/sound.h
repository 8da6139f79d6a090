/* A sound component with every role, for a plugin to spoil in one place: it defines the slot that
 * is wrong as a macro, then includes this file last. PLUGIN is the name of its shared object, and
 * the component's type. Sources of one defect are then nothing but the defect. */
#ifndef MFN_TESTS_BAD_PLUGINS_SOUND_H_
#define MFN_TESTS_BAD_PLUGINS_SOUND_H_

#include <mfn/plugin.h>
#include <string.h>

#define SOUND __attribute__((unused)) static

SOUND const mfn_host* sound_host; /* of the last instance made */
SOUND uint64_t sound_reads, sound_released;

SOUND mfn_bytes text(const char* words) {
  mfn_bytes bytes;
  bytes.data = (const uint8_t*)words;
  bytes.len = words == NULL ? 0 : strlen(words);
  return bytes;
}

SOUND void say(mfn_call* call, const char* reason, const char* message) {
  mfn_failure failure = {sizeof(mfn_failure), 0, -1, {NULL, 0}, {NULL, 0}, {NULL, 0}};
  failure.reason = text(reason);
  failure.message = text(message);
  sound_host->fail(call, &failure);
}

SOUND mfn_code sound_create(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  static int instance;
  (void)call, (void)json;
  sound_host = host;
  *self = &instance;
  return MFN_OK;
}
SOUND void sound_destroy(void* self) { (void)self; }

SOUND void count_release(mfn_batch* batch) {
  (void)batch;
  ++sound_released;
}

/* One record, "x"; its id tells how many batches have been released. */
SOUND mfn_code sound_read(void* self, mfn_call* call, uint64_t max_records, uint64_t max_bytes,
                          mfn_batch* out) {
  static char id[2];
  static mfn_record record;
  (void)self, (void)call, (void)max_bytes;
  if (max_records == 0) return MFN_OK;
  id[0] = (char)('0' + sound_released % 10);
  record.id = text(id);
  record.payload = text("x");
  record.time_unix_ns = MFN_TIME_ABSENT;
  out->records = &record;
  out->n_records = 1;
  out->ack_id = ++sound_reads;
  out->release = count_release;
  return MFN_OK;
}
SOUND mfn_code sound_ack(void* self, mfn_call* call, uint64_t id, const mfn_code* codes,
                         uint64_t n) {
  (void)self, (void)call, (void)id, (void)codes, (void)n;
  return MFN_OK;
}
SOUND mfn_code sound_write(void* self, mfn_call* call, const mfn_batch* batch) {
  (void)self, (void)call, (void)batch;
  return MFN_OK;
}
SOUND mfn_code sound_execute(void* self, mfn_call* call, const mfn_record* request,
                             mfn_batch* out) {
  (void)request;
  return sound_read(self, call, 1, 1, out);
}

#ifndef MINOR
#define MINOR MFN_ABI_MINOR
#endif
#ifndef PLUGIN_ID
#define PLUGIN_ID "org.example.bad"
#endif
#ifndef TYPE
#define TYPE PLUGIN
#endif
#ifndef SUMMARY
#define SUMMARY "Sound but for one thing"
#endif
#ifndef SCHEMA
#define SCHEMA "{\"type\":\"object\"}"
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef VALIDATE
#define VALIDATE NULL
#endif
#ifndef CREATE
#define CREATE sound_create
#endif
#ifndef CONNECT
#define CONNECT NULL
#endif
#ifndef CHECK
#define CHECK NULL
#endif
#ifndef DESTROY
#define DESTROY sound_destroy
#endif
#ifndef READ
#define READ sound_read
#endif
#ifndef ACK
#define ACK sound_ack
#endif
#ifndef WRITE
#define WRITE sound_write
#endif
#ifndef FLUSH
#define FLUSH NULL
#endif
#ifndef EXECUTE
#define EXECUTE sound_execute
#endif
#ifndef EXTENSION
#define EXTENSION NULL
#endif

SOUND const mfn_source source = {sizeof(mfn_source), 0, READ, ACK, NULL};
SOUND const mfn_sink sink = {sizeof(mfn_sink), 1, WRITE, FLUSH};
SOUND const mfn_executor executor = {sizeof(mfn_executor), 1, EXECUTE};
#ifndef SOURCE
#define SOURCE &source
#endif
#ifndef SINK
#define SINK &sink
#endif
#ifndef EXECUTOR
#define EXECUTOR &executor
#endif
#ifndef COMPONENT_SIZE
#define COMPONENT_SIZE sizeof(mfn_component)
#endif
SOUND const mfn_component component = {COMPONENT_SIZE, FLAGS,  TYPE,     SUMMARY,  SCHEMA,
                                       VALIDATE,       CREATE, CONNECT,  CHECK,    DESTROY,
                                       SOURCE,         SINK,   EXECUTOR, EXTENSION};

#ifndef COMPONENTS
SOUND const mfn_component* const one_component[] = {&component};
#define COMPONENTS one_component, 1
#endif
SOUND const mfn_plugin plugin = {sizeof(mfn_plugin), MINOR, PLUGIN_ID, "1", "", "", COMPONENTS};

#ifndef ENTRY
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) { return (void)minor, &plugin; }
#endif

#endif /* MFN_TESTS_BAD_PLUGINS_SOUND_H_ */
