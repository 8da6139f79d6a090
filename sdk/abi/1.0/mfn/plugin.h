/* The mfnd plugin ABI, version 1. The only header a plugin needs.
 *
 * A plugin is a shared object that exports one function, mfn_plugin_entry_v1. It describes one or
 * more components; a component reads requests from another system (source), writes results to one
 * (sink), answers a request directly (executor), or any mix of these. The host does everything
 * that is the same for all of them: retry, backoff, circuit breaking, limits, deadlines, metrics,
 * dead letters. So a plugin never retries, never sleeps in a backoff, never prints, never installs
 * signal handlers, never forks or exits. It makes one honest attempt and reports what happened.
 *
 * A plugin in C++ includes <mfn/plugin.hpp> instead, which wraps all of this.
 *
 * READING ORDER: codes, value types, mfn_host (what the host gives), mfn_source / mfn_sink /
 * mfn_executor (what a component does), mfn_component, mfn_plugin, the entry point.
 *
 * GROWTH. mfn_bytes, mfn_kv, mfn_record and mfn_batch never change. Every other struct starts with
 * struct_size, which its author sets to sizeof, and only ever gains members at its end. The host
 * copies min(struct_size, its own sizeof) bytes into a zeroed struct, so that a member which a
 * plugin does not have reads as NULL or 0; a plugin asks MFN_HAS before it uses a host member that
 * is newer than the oldest host it supports. A slot is never removed or given another meaning.
 * A code the reader does not know means MFN_PERMANENT; a flag it does not know is ignored.
 *
 * MEMORY. Inputs are borrowed: valid until the function returns, never freed or released by the
 * one who received them. A batch that a plugin returns is owned by the plugin until the host calls
 * its release, once, on any thread, never at the same time as destroy and never after it. After a
 * code other than MFN_OK the host does not look at outputs. Neither side ever frees memory of the
 * other. Strings in descriptors are NUL-terminated UTF-8, static, and live as long as the library,
 * which is never unloaded.
 *
 * THREADS. Each function below carries a tag:
 *   [any]        any thread, at any time, also several at once
 *   [worker]     a host worker thread; at most one [worker] call per instance at a time
 *   [exclusive]  like [worker], and no other call of that instance is running
 *   [parallel]   host worker threads; up to max_in_flight calls of it at once, beside [worker]
 *
 * TIME. Every call takes an mfn_call with a deadline and a cancelled flag. A function that waits
 * must return within 250 ms of either; a call that overruns costs its instance, which the host
 * replaces. 64-bit platforms only.
 */
#ifndef MFN_PLUGIN_H_
#define MFN_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MFN_ABI_MAJOR 1
#define MFN_ABI_MINOR 0

#define MFN_EXPORT __attribute__((visibility("default")))

/* Whether the struct behind pointer p, of type T, is large enough to have member m, and m is set.
 * The first test reads struct_size only; so it is safe on a struct of any age. */
#define MFN_HAS(T, p, m)                                                                \
  ((p)->struct_size >= offsetof(T, m) + sizeof((p)->m) /* NOLINT(*-sizeof-expression)*/ \
   && (p)->m != 0)

/* ------------------------------------------------------------------------------------- codes */

typedef int32_t mfn_code;

enum {
  /* Done. For write: the data survive a crash (or will after flush, if the component is
   * MFN_DEFERRED). For read: zero records are fine and mean "nothing yet". */
  MFN_OK = 0,
  /* A source is finished for good (one-shot). From read only. Records of that call count. */
  MFN_END = 1,
  /* A passing fault; the same call may succeed later. Retried with backoff; counts against the
   * endpoint's circuit breaker. */
  MFN_RETRYABLE = 2,
  /* This input will never be accepted. Not retried; says nothing of the endpoint's health. */
  MFN_PERMANENT = 3,
  /* The endpoint asks for fewer calls; set retry_after_ms when it says for how long. */
  MFN_THROTTLED = 4,
  /* Credentials refused. Retried once after secrets have been resolved again. */
  MFN_AUTH = 5,
  /* The session is gone; the host calls connect, with backoff, before it tries again. */
  MFN_NOT_CONNECTED = 6,
  /* The call was cancelled by the host, or its deadline passed while the plugin was waiting. */
  MFN_CANCELLED = 7,
  /* The component does not do this. */
  MFN_UNSUPPORTED = 8
};

/* ------------------------------------------------------------- value types, frozen for ever */

/* A run of bytes, not NUL-terminated. data NULL: absent (a tombstone). data not NULL with len 0:
 * present and empty. */
typedef struct mfn_bytes {
  const uint8_t* data;
  uint64_t len;
} mfn_bytes;

typedef struct mfn_kv {
  mfn_bytes key, value;
} mfn_kv;

/* mfn_record.time_unix_ns when the source does not know the event's time. */
#define MFN_TIME_ABSENT INT64_MIN

/* The attribute with which a source says that it found a record and could not read it, and why.
 * The host does not process such a record: it keeps it as a dead letter with this text and whatever
 * payload there is, and acks it as MFN_PERMANENT. */
#define MFN_ATTR_ERROR "mfn-error"

typedef struct mfn_record {
  /* From a source: the stable position of the record, unique for ever in that source, the same when
   * it is read again after a restart ("topic/3@42"); the idempotency key is made from it. To a
   * sink: that key. */
  mfn_bytes id;
  /* The key for partitioning or naming, or absent. */
  mfn_bytes key;
  mfn_bytes payload;
  /* Headers; keys are UTF-8. "content-type" names the payload's format. */
  const mfn_kv* attrs;
  uint64_t n_attrs;
  /* Event time, nanoseconds since the Unix epoch, or MFN_TIME_ABSENT. */
  int64_t time_unix_ns;
} mfn_record;

/* mfn_batch.flags. REVOKED and LOST batches are lane events and carry no records. */
enum {
  /* Records of this lane may be acked in any order. */
  MFN_LANE_UNORDERED = 1,
  /* The group takes this lane away: the host settles what it can, acks it, then calls
   * lane_released; until then the source keeps hold of the lane. */
  MFN_LANE_REVOKED = 2,
  /* The lane is gone already; later acks of it are dropped by the source. */
  MFN_LANE_LOST = 4
};

typedef struct mfn_batch {
  const mfn_record* records;
  uint64_t n_records;
  /* Records of one lane are acked in order: a partition, a file. Never reused for another
   * assignment. */
  uint64_t lane;
  uint64_t flags;
  /* Chosen by the source, unique among its unacked batches; comes back in ack. */
  uint64_t ack_id;
  /* Frees what private_data owns. May be NULL when there is nothing to free. Must not fail. */
  void (*release)(struct mfn_batch*);
  void* private_data;
} mfn_batch;

/* One call of the host into the plugin. Opaque; valid until that call returns. */
typedef struct mfn_call mfn_call;

/* --------------------------------------------- everything below: struct_size first, only grows */

/* Says why a call, or one record of it, failed. All texts are copied by the host. */
typedef struct mfn_failure {
  uint32_t struct_size;
  mfn_code code;
  /* For MFN_THROTTLED: how long to wait, in milliseconds; negative when not known. */
  int64_t retry_after_ms;
  /* A short constant in UPPER_SNAKE_CASE to count by ("HTTP_503", "NO_SPACE"). */
  mfn_bytes reason;
  /* For people: what failed, on which object, and what to do. Never a secret. */
  mfn_bytes message;
  /* The JSON pointer of the offending config field ("/path"), or absent. */
  mfn_bytes field;
} mfn_failure;

enum { MFN_LOG_DEBUG = 0, MFN_LOG_INFO = 1, MFN_LOG_WARNING = 2, MFN_LOG_ERROR = 3 };
enum { MFN_METRIC_COUNTER = 0, MFN_METRIC_GAUGE = 1 };

/* What the host offers to one instance. Valid from validate/create until destroy returns. */
typedef struct mfn_host {
  uint32_t struct_size;
  uint32_t abi_minor; /* of the host */
  const char *name, *version;
  /* [any] One line, without a newline; never a secret. */
  void (*log)(const struct mfn_host*, int32_t level, mfn_bytes message);
  /* [exclusive] Registers a metric of this instance and returns its id, 0 if refused. The same
   * name and labels give the same id. Names are snake_case; the host adds its own prefix. */
  uint64_t (*metric)(const struct mfn_host*, int32_t kind, mfn_bytes name, const mfn_kv* labels,
                     uint64_t n_labels);
  /* [any] Adds to a counter or gauge. An id of 0 is ignored. */
  void (*metric_add)(const struct mfn_host*, uint64_t id, double value);
  /* [any, within the call] Not 0 once the host wants the call to return. */
  int32_t (*cancelled)(const mfn_call*);
  /* [any, within the call] CLOCK_MONOTONIC nanoseconds; INT64_MAX when there is none. */
  int64_t (*deadline_ns)(const mfn_call*);
  /* [the call's thread] Says why the call fails; call it before returning another code than
   * MFN_OK. The last word counts. failure->code is ignored: the returned code counts. */
  void (*fail)(mfn_call*, const mfn_failure*);
  /* [the call's thread] In write: this record's own outcome; the others have the call's code (so
   * returning MFN_OK means that the rest succeeded). An index beyond the batch is ignored. */
  void (*fail_record)(mfn_call*, uint64_t index, const mfn_failure*);
  /* [any] An extension of the host by its id ("mfn.state/1"), or NULL, which is always legal. */
  const void* (*extension)(const struct mfn_host*, const char* id);
} mfn_host;

/* Where records come from. */
typedef struct mfn_source {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  /* [worker] Waits for records until the deadline; returns what it has as soon as it has any, and
   * MFN_OK with no records when time is up. At most max_records records and about max_bytes of
   * payload (one record may be larger). max_records 0: keep the session alive and return lane
   * events only. A batch is of one lane. *out is zeroed by the host. */
  mfn_code (*read)(void* self, mfn_call*, uint64_t max_records, uint64_t max_bytes, mfn_batch* out);
  /* [worker; beside read if the component sets MFN_CONCURRENT_ACK] Each batch with records is
   * acked exactly once, in order within its lane unless that is unordered. outcomes has one code
   * per record: MFN_OK, MFN_RETRYABLE (give it again later), MFN_PERMANENT (the host has kept it
   * as a dead letter; move on); NULL: all MFN_OK. */
  mfn_code (*ack)(void* self, mfn_call*, uint64_t ack_id, const mfn_code* outcomes, uint64_t n);
  /* [worker] After a REVOKED event: the host has acked what it will. May be NULL. */
  mfn_code (*lane_released)(void* self, mfn_call*, uint64_t lane);
} mfn_source;

/* Where records go. */
typedef struct mfn_sink {
  uint32_t struct_size;
  /* How many writes may run at once; 0 and 1: one. */
  uint32_t max_in_flight;
  /* [parallel] Writes the batch. MFN_OK promises durability, unless the component is
   * MFN_DEFERRED. See mfn_host.fail_record for partial failure. lane, ack_id, release and
   * private_data of the batch are the host's and of no use here. */
  mfn_code (*write)(void* self, mfn_call*, const mfn_batch*);
  /* [exclusive] Everything written before is durable when it returns MFN_OK. May be NULL if not
   * MFN_DEFERRED. After another code the host writes all unflushed records again. */
  mfn_code (*flush)(void* self, mfn_call*);
} mfn_sink;

/* One request in, records out: a query, an HTTP call. */
typedef struct mfn_executor {
  uint32_t struct_size;
  uint32_t max_in_flight; /* as in mfn_sink */
  /* [parallel] *out is zeroed by the host. A request that was sent and whose outcome is not known
   * fails with MFN_RETRYABLE and reason "OUTCOME_UNKNOWN"; the host repeats it only if the
   * request is marked idempotent. */
  mfn_code (*execute)(void* self, mfn_call*, const mfn_record* request, mfn_batch* out);
} mfn_executor;

/* mfn_component.flags */
enum {
  /* The sink recognises a repeated record by its id: at-least-once is enough for exactly-once. */
  MFN_DEDUPS_BY_KEY = 1,
  /* Written data are durable only after flush. */
  MFN_DEFERRED = 2,
  /* ack may run beside read. */
  MFN_CONCURRENT_ACK = 4
};

typedef struct mfn_component {
  uint32_t struct_size;
  uint32_t flags;
  const char* type;          /* "file": the name in configuration, unique within a host */
  const char* summary;       /* one line */
  const char* config_schema; /* JSON Schema (draft 7) of the config object; "writeOnly": true
                                marks secrets, which the host then redacts everywhere */
  /* [any] Checks what the schema cannot say. No I/O. json: the config, an object, valid by the
   * schema. May be NULL. */
  mfn_code (*validate)(mfn_call*, const mfn_host*, mfn_bytes json);
  /* [exclusive] Makes an instance. No I/O that can block. */
  mfn_code (*create)(mfn_call*, const mfn_host*, mfn_bytes json, void** self);
  /* [exclusive] (Re)establishes the session. Called before anything below, and again after
   * MFN_NOT_CONNECTED or MFN_AUTH. May be NULL. */
  mfn_code (*connect)(void* self, mfn_call*);
  /* [any, after create] Is the other side there? Cheap, no side effects. May be NULL. */
  mfn_code (*check)(void* self, mfn_call*);
  /* [exclusive] The last call; every batch has been released. Frees the instance, connected or
   * not. */
  void (*destroy)(void* self);
  /* At least one of the three is not NULL. */
  const mfn_source* source;
  const mfn_sink* sink;
  const mfn_executor* executor;
  /* [any] An extension of the component by its id, or NULL. May itself be NULL. */
  const void* (*extension)(void* self, const char* id);
} mfn_component;

typedef struct mfn_plugin {
  uint32_t struct_size;
  uint32_t abi_minor; /* MFN_ABI_MINOR of the header it was built with */
  const char* id;     /* reverse DNS, "org.example.kafka" */
  const char *version, *vendor, *license;
  const mfn_component* const* components;
  uint64_t n_components;
} mfn_plugin;

/* The entry point that a plugin exports. [any] It returns static data and has no side effects;
 * there is no init and no deinit. NULL: this host is too old for the plugin. */
typedef const mfn_plugin* (*mfn_plugin_entry_fn)(uint32_t host_abi_minor);
#define MFN_PLUGIN_ENTRY_SYMBOL "mfn_plugin_entry_v1"
MFN_EXPORT const mfn_plugin* mfn_plugin_entry_v1(uint32_t host_abi_minor);

#ifdef __cplusplus
} /* extern "C" */
static_assert(sizeof(void*) == 8, "mfn: 64-bit platforms only");
#else
typedef char mfn_assert_64_bit_platform[sizeof(void*) == 8 ? 1 : -1];
#endif

#endif /* MFN_PLUGIN_H_ */
