/* mfn.state/1: small named blobs that the host keeps for an instance, durable when put returns.
 *
 * For cursors, ETags, the list of files already read. The blobs belong to the instance's name in
 * the configuration and outlive the process. Keys are UTF-8, at most 1,024 bytes; values at most 1
 * MiB.
 *
 *   const mfn_state_v1 *state = host->extension(host, MFN_STATE_V1);
 *   if (state == NULL) ... the host keeps no state: fail create with MFN_UNSUPPORTED if needed
 */
#ifndef MFN_EXT_STATE_H_
#define MFN_EXT_STATE_H_

#include <mfn/plugin.h>

#define MFN_STATE_V1 "mfn.state/1"

typedef struct mfn_state_v1 {
  uint32_t struct_size;
  uint32_t reserved;
  /* [worker or exclusive, from within any call] Replaces or makes the blob; a value with data NULL
   * removes it. MFN_RETRYABLE when the disk is full or the store busy; MFN_PERMANENT when a bound
   * is exceeded. */
  mfn_code (*put)(const mfn_host*, mfn_bytes key, mfn_bytes value);
  /* [the same] Calls found once with the value, which is borrowed until found returns, or not at
   * all when there is none. found must not call back into the host. */
  mfn_code (*get)(const mfn_host*, mfn_bytes key, void (*found)(void* context, mfn_bytes value),
                  void* context);
  /* [the same] Calls each with every blob whose key starts with prefix, in key order, until it
   * returns 0. */
  mfn_code (*list)(const mfn_host*, mfn_bytes prefix,
                   int32_t (*each)(void* context, mfn_bytes key, mfn_bytes value), void* context);
} mfn_state_v1;

#endif /* MFN_EXT_STATE_H_ */
