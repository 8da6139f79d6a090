/* A plugin that hangs where the test says, whatever its deadline, until the test lets it go; and
 * that answers with a code of the test's choice. What happens in it is counted by name. The test
 * finds the controls below by dlsym. */
#include <mfn/ext/cancel_fd.h>
#include <mfn/ext/secrets.h>
#include <mfn/ext/state.h>
#include <mfn/plugin.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 32, LANE = 7 };
typedef struct {
  char what[32];
  int count;
} counter;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static counter counts[MOST];  /* of what happened */
static counter hangs[MOST];   /* how often a function still hangs */
static counter answers[MOST]; /* what it answers next */
static int generation;        /* of letting go */

static int* find(counter* in, const char* what) {
  int i = 0;
  while (i < MOST - 1 && in[i].what[0] != 0 && strcmp(in[i].what, what) != 0) ++i;
  strncpy(in[i].what, what, sizeof(in[i].what) - 1);
  return &in[i].count;
}

MFN_EXPORT void stuck_reset(void);
void stuck_reset(void) {
  pthread_mutex_lock(&mutex);
  memset(counts, 0, sizeof(counts));
  memset(hangs, 0, sizeof(hangs));
  memset(answers, 0, sizeof(answers));
  pthread_mutex_unlock(&mutex);
}
MFN_EXPORT void stuck_hang(const char* what, int times);
void stuck_hang(const char* what, int times) {
  pthread_mutex_lock(&mutex);
  *find(hangs, what) = times;
  pthread_mutex_unlock(&mutex);
}
MFN_EXPORT void stuck_answer(const char* what, int code);
void stuck_answer(const char* what, int code) {
  pthread_mutex_lock(&mutex);
  *find(answers, what) = code;
  pthread_mutex_unlock(&mutex);
}
MFN_EXPORT int stuck_count(const char* what);
int stuck_count(const char* what) {
  int n;
  pthread_mutex_lock(&mutex);
  n = *find(counts, what);
  pthread_mutex_unlock(&mutex);
  return n;
}
/* Waits until it has happened `least` times. */
MFN_EXPORT void stuck_await(const char* what, int least);
void stuck_await(const char* what, int least) {
  pthread_mutex_lock(&mutex);
  while (*find(counts, what) < least) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}
MFN_EXPORT void stuck_let_go(void);
void stuck_let_go(void) {
  pthread_mutex_lock(&mutex);
  memset(hangs, 0, sizeof(hangs));
  ++generation;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void happened(const char* what, int n) {
  pthread_mutex_lock(&mutex);
  *find(counts, what) += n;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

/* Counts the call, hangs if it shall, and gives the answer. */
static mfn_code enter(const char* what) {
  mfn_code code;
  pthread_mutex_lock(&mutex);
  ++*find(counts, what);
  pthread_cond_broadcast(&changed);
  if (*find(hangs, what) > 0) {
    const int before = generation;
    --*find(hangs, what);
    ++*find(counts, "hung");
    pthread_cond_broadcast(&changed);
    while (generation == before) pthread_cond_wait(&changed, &mutex);
    ++*find(counts, "returned");
  }
  code = *find(answers, what);
  *find(answers, what) = MFN_OK;
  pthread_mutex_unlock(&mutex);
  return code;
}

typedef struct {
  const mfn_host* host;
  char token[64];
  uint64_t calls, open;
  int follows; /* takes its token through mfn.secrets/1 */
} instance;

static mfn_bytes bytes(const char* text) {
  mfn_bytes b;
  b.data = (const uint8_t*)text;
  b.len = strlen(text);
  return b;
}

/* After a hang everything that the call was given must still be there. */
static void use(instance* me, mfn_call* call) {
  mfn_failure failure = {sizeof(mfn_failure), 0, -1, {0, 0}, {0, 0}, {0, 0}};
  failure.reason = bytes("STUCK");
  me->host->fail(call, &failure);
  happened("cancelled", me->host->cancelled(call) != 0);
  (void)me->host->deadline_ns(call);
}

static mfn_code validate(mfn_call* call, const mfn_host* host, mfn_bytes json) {
  (void)call, (void)host, (void)json;
  return enter("validate");
}

/* The config is {"token":"..."}, then perhaps "follows":true, or {"hang":"execute"}. */
static mfn_code create(mfn_call* call, const mfn_host* host, mfn_bytes json, void** self) {
  instance* me = calloc(1, sizeof(*me));
  char text[256] = "";
  const char *begin, *end;
  const mfn_code code = enter("create");
  (void)call;
  memcpy(text, json.data, json.len < sizeof(text) - 1 ? json.len : sizeof(text) - 1);
  me->follows = strstr(text, "follows") != NULL;
  begin = strstr(text, "\"token\":\"");
  if (begin != NULL && (end = strchr(begin + 9, '"')) != NULL) {
    memcpy(me->token, begin + 9, (size_t)(end - begin - 9));
  }
  begin = strstr(text, "\"hang\":\"");
  if (begin != NULL && (end = strchr(begin + 8, '"')) != NULL) {
    text[end - text] = 0;
    stuck_hang(begin + 8, 1000);
  }
  me->host = host;
  me->calls = host->metric(host, MFN_METRIC_COUNTER, bytes("calls"), NULL, 0);
  me->open = host->metric(host, MFN_METRIC_GAUGE, bytes("open"), NULL, 0);
  host->metric_add(host, me->open, 1);
  *self = me;
  return code;
}

static void keep(void* context, mfn_bytes value) {
  char* token = context;
  memset(token, 0, 64);
  memcpy(token, value.data, value.len < 63 ? value.len : 63);
}
static mfn_code connect_it(void* self, mfn_call* call) {
  instance* me = self;
  const mfn_code code = enter("connect");
  (void)call;
  if (me->follows) {
    const mfn_secrets_v1* secrets = me->host->extension(me->host, MFN_SECRETS_V1);
    happened("no string",
             secrets->resolve(me->host, bytes("/absent"), keep, me->token) == MFN_PERMANENT);
    return secrets->resolve(me->host, bytes("/token"), keep, me->token);
  }
  return code;
}
static mfn_code check(void* self, mfn_call* call) {
  const mfn_code code = enter("check");
  use(self, call);
  return code;
}
static void destroy(void* self) {
  enter("destroy");
  free(self);
  happened("destroyed", 1);
}

typedef struct {
  mfn_record record;
  char text[64];
} answer;
static void release(mfn_batch* batch) {
  free(batch->private_data);
  happened("released", 1);
}
static void give(const char* text, mfn_batch* out) {
  answer* made = calloc(1, sizeof(*made));
  strncpy(made->text, text, sizeof(made->text) - 1);
  made->record.payload = bytes(made->text);
  made->record.time_unix_ns = MFN_TIME_ABSENT;
  out->records = &made->record;
  out->n_records = 1;
  out->ack_id = 1;
  out->private_data = made;
  out->release = release;
}

/* Who asks for lane events only is told that the lane is taken away. */
static mfn_code read_one(void* self, mfn_call* call, uint64_t max_records, uint64_t max_bytes,
                         mfn_batch* out) {
  const mfn_code code = enter("read");
  (void)max_bytes;
  use(self, call);
  if (code == MFN_OK && max_records == 0) {
    out->lane = LANE;
    out->flags = MFN_LANE_REVOKED;
  } else if (code == MFN_OK) {
    give("x", out);
  }
  return code;
}
static mfn_code ack(void* self, mfn_call* call, uint64_t id, const mfn_code* codes, uint64_t n) {
  const mfn_code code = enter("ack");
  uint64_t i;
  int sum = 0;
  (void)id;
  use(self, call);
  for (i = 0; i < n; ++i) sum += codes[i];
  happened("ack codes", sum);
  return code;
}
static mfn_code lane_released(void* self, mfn_call* call, uint64_t lane) {
  const mfn_code code = enter("lane_released");
  use(self, call);
  happened("its lane", lane == LANE);
  return code;
}

static int sum(mfn_bytes b) {
  int total = 0;
  uint64_t i;
  for (i = 0; i < b.len; ++i) total += b.data[i];
  return total;
}
static mfn_code write_all(void* self, mfn_call* call, const mfn_batch* batch) {
  instance* me = self;
  const mfn_code code = enter("write");
  uint64_t i, k;
  int total = 0;
  use(me, call);
  for (i = 0; i < batch->n_records; ++i) {
    total += sum(batch->records[i].payload) + sum(batch->records[i].key);
    for (k = 0; k < batch->records[i].n_attrs; ++k) total += sum(batch->records[i].attrs[k].value);
  }
  happened("written bytes", total);
  me->host->metric_add(me->host, me->calls, 1);
  return code;
}
static mfn_code flush(void* self, mfn_call* call) {
  const mfn_code code = enter("flush");
  use(self, call);
  return code;
}

/* The payload says what to do: "token" answers with the token, "fd" with the number of the cancel
 * descriptor, "poll" waits for it, "put" keeps state. */
static mfn_code execute(void* self, mfn_call* call, const mfn_record* request, mfn_batch* out) {
  instance* me = self;
  const mfn_cancel_fd_v1* ext = me->host->extension(me->host, MFN_CANCEL_FD_V1);
  char what[32] = "";
  mfn_code code = enter("execute");
  if (code != MFN_OK) return code;
  if (request->payload.len > 0) {
    memcpy(what, request->payload.data, request->payload.len < 31 ? request->payload.len : 31);
  }
  if (strcmp(what, "token") == 0) {
    give(me->token, out);
  } else if (strcmp(what, "fd") == 0) {
    char number[32];
    const int fd = ext->fd(call);
    struct pollfd readable = {fd, POLLIN, 0};
    snprintf(number, sizeof(number), "%d%s", ext->fd(call) == fd ? fd : -1,
             poll(&readable, 1, 0) != 0 ? "!" : "");
    give(number, out);
  } else if (strcmp(what, "poll") == 0) {
    struct pollfd fd = {ext->fd(call), POLLIN, 0};
    happened("polling", 1);
    poll(&fd, 1, 30000);
    code = MFN_CANCELLED;
  } else if (strcmp(what, "put") == 0) {
    const mfn_state_v1* state = me->host->extension(me->host, MFN_STATE_V1);
    happened("put code", state->put(me->host, request->key, bytes("v")));
  }
  return code;
}

static const mfn_source source = {sizeof(mfn_source), 0, read_one, ack, lane_released};
static const mfn_sink sink = {sizeof(mfn_sink), 4, write_all, flush};
static const mfn_executor executor = {sizeof(mfn_executor), 4, execute};
static const mfn_component component = {sizeof(mfn_component),
                                        MFN_DEFERRED,
                                        "stuck",
                                        "Hangs where it is told to",
                                        "{\"type\":\"object\"}",
                                        validate,
                                        create,
                                        connect_it,
                                        check,
                                        destroy,
                                        &source,
                                        &sink,
                                        &executor,
                                        NULL};
static const mfn_component* const components[] = {&component};
static const mfn_plugin plugin = {sizeof(mfn_plugin), 0, "org.example.stuck", "1", "", "",
                                  components,         1};
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) {
  (void)minor;
  return &plugin;
}
