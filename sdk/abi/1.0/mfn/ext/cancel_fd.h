/* mfn.cancel-fd/1: the end of a call as a file descriptor, to be put into a poll loop.
 *
 *   const mfn_cancel_fd_v1 *ext = host->extension(host, MFN_CANCEL_FD_V1);
 *   struct pollfd fds[2] = {{socket, POLLIN, 0}, {-1, POLLIN, 0}};
 *   if (ext != NULL) fds[1].fd = ext->fd(call);     // poll skips a negative descriptor
 *   poll(fds, 2, fds[1].fd < 0 ? 100 : -1);         // without one: look at cancelled every 100 ms
 *   if (host->cancelled(call)) return MFN_CANCELLED;
 *
 * With it a plugin returns within milliseconds of its call's end and wakes for nothing else.
 */
#ifndef MFN_EXT_CANCEL_FD_H_
#define MFN_EXT_CANCEL_FD_H_

#include <mfn/plugin.h>

#define MFN_CANCEL_FD_V1 "mfn.cancel-fd/1"

typedef struct mfn_cancel_fd_v1 {
  uint32_t struct_size;
  uint32_t reserved;
  /* [the call's thread] A descriptor that becomes readable (POLLIN), and stays so, when
   * mfn_host.cancelled starts to say so: the call was cancelled, or its deadline has passed. The
   * same one every time within a call; -1 when there is none to be had.
   *
   * Borrowed: valid until the call returns, and the host's. Never read from it, write to it or
   * close it, and take it out of a set that outlives the call (epoll) before returning: the next
   * call may be given the same number. It may be polled on any thread. */
  int32_t (*fd)(mfn_call*);
} mfn_cancel_fd_v1;

#endif /* MFN_EXT_CANCEL_FD_H_ */
