/* mfn.secrets/1: the present value of a field of the instance's configuration.
 *
 * An operator writes a secret as a reference, password: ${file:/run/secrets/db}, and the host puts
 * its value into the configuration that create receives. Secrets change while the server runs. A
 * plugin that takes its credentials through this extension, in connect, follows such a change by
 * itself: when the endpoint refuses them it fails with MFN_AUTH, the host calls connect once more,
 * and there the plugin asks again.
 *
 *   const mfn_secrets_v1 *secrets = host->extension(host, MFN_SECRETS_V1);
 *   if (secrets != NULL) code = secrets->resolve(host, field("/password"), keep, self);
 *   else                 ... the value that create was given
 *
 * A plugin that never asks for this extension loses nothing: on MFN_AUTH the host resolves the
 * references itself and, if a value has changed, makes the instance anew with it.
 *
 * Only what the operator's configuration refers to can be resolved: the plugin names a field of its
 * own configuration, never a file or a variable. Values are secrets: never log them, keep them no
 * longer than needed.
 */
#ifndef MFN_EXT_SECRETS_H_
#define MFN_EXT_SECRETS_H_

#include <mfn/plugin.h>

#define MFN_SECRETS_V1 "mfn.secrets/1"

typedef struct mfn_secrets_v1 {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any, from create on until destroy is called] field is the JSON pointer of a string in the
   * instance's configuration ("/password", "/headers/0/value"). Its reference is resolved again (a
   * file is read again); a string that is no reference is given as it was configured. On MFN_OK
   * found was called exactly once, on this thread, before the function returned; value is borrowed
   * until found returns, and found must not call back into the host. Else found was not called:
   *   MFN_RETRYABLE  the reference cannot be resolved now (the file is missing, or unreadable)
   *   MFN_PERMANENT  the configuration has no string there
   * May read a file, so it may take as long as that does. */
  mfn_code (*resolve)(const mfn_host*, mfn_bytes field,
                      void (*found)(void* context, mfn_bytes value), void* context);
} mfn_secrets_v1;

#endif /* MFN_EXT_SECRETS_H_ */
