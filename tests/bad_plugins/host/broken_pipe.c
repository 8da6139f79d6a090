/* DEFECT: writes to a pipe that nobody reads. COST: that call; the host ignores SIGPIPE. */
#include <errno.h>
#include <mfn/plugin.h>
#include <unistd.h>
static mfn_code write_it(void* self, mfn_call* call, const mfn_batch* batch) {
  int ends[2];
  ssize_t written;
  int error;
  (void)self, (void)call, (void)batch;
  if (pipe(ends) != 0) return MFN_PERMANENT;
  close(ends[0]);
  written = write(ends[1], "x", 1);
  error = errno;
  close(ends[1]);
  return written < 0 && error == EPIPE ? MFN_RETRYABLE : MFN_PERMANENT;
}
#define WRITE write_it
#include "../sound.h"
