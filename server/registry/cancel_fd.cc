// An eventfd. Get stores the descriptor and then looks whether the call is over, Raise does it the
// other way round, so one of them sees the other.
#include "server/registry/cancel_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace mfn::registry {

CancelFd::~CancelFd() {
  Reset();
  if (const int fd = fd_.load(); fd >= 0) close(fd);
}

int CancelFd::Get(const Cancellation& cancel, const Cancellation& stopped) {
  if (armed_) return fd_.load();
  if (fd_.load() < 0) {
    const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0) return -1;
    fd_.store(made);
    if (raised_.load()) Write();
  }
  armed_ = true;
  cancel_ = cancel;
  stopped_ = stopped;
  cancel_id_ = cancel_.Subscribe([this] { Raise(); });
  stopped_id_ = stopped_.Subscribe([this] { Raise(); });
  return fd_.load();
}

void CancelFd::Raise() {
  raised_.store(true);
  Write();
}

void CancelFd::Write() {
  const int fd = fd_.load();
  if (fd < 0) return;
  const uint64_t one = 1;
  // Fails only when the counter is full, which is readable too.
  [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof(one));
}

void CancelFd::Reset() {
  if (armed_) {
    cancel_.Unsubscribe(cancel_id_);
    stopped_.Unsubscribe(stopped_id_);
    cancel_ = stopped_ = Cancellation();
    armed_ = false;
  }
  if (!raised_.exchange(false)) return;
  uint64_t count = 0;
  if (const int fd = fd_.load(); fd >= 0) {
    [[maybe_unused]] const ssize_t drained = read(fd, &count, sizeof(count));
  }
}

}  // namespace mfn::registry
