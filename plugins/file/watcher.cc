#include "plugins/file/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace mfn::file {

Watcher::Watcher() : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Status Watcher::Watch(const std::string& directory) {
  inotify_.Reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify_.valid() || !wake_.valid()) {
    return Status::Retryable("NO_INOTIFY",
                             "cannot watch " + directory + ": " + std::strerror(errno) +
                                 "; raise fs.inotify.max_user_instances, or use mode: once");
  }
  const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (::inotify_add_watch(inotify_.get(), directory.c_str(), mask) < 0) {
    if (errno == ENOSPC) {
      return Status::Retryable("NO_INOTIFY",
                               "cannot watch " + directory + ": raise fs.inotify.max_user_watches");
    }
    return SystemError(errno, "watch", directory);
  }
  return Status::Ok();
}

Status Watcher::Drain(Events* events) {
  if (!inotify_.valid()) return Status::Ok();
  alignas(inotify_event) char buffer[16 << 10];
  for (;;) {
    const ssize_t n = ::read(inotify_.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Status::Ok();
    if (n <= 0) return SystemError(errno, "read events of", "inotify");
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if (event->mask & IN_Q_OVERFLOW) events->overflow = true;
      if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
        events->gone = true;
      }
      if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO) && event->len > 0) {
        events->complete.emplace_back(event->name);
      }
    }
  }
}

void Watcher::Wait(std::chrono::milliseconds time) {
  pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}};
  // poll ignores a negative descriptor: without a watch only Wake ends the wait early.
  const int timeout = static_cast<int>(std::max<int64_t>(0, time.count()));
  if (::poll(fds, 2, timeout) > 0 && (fds[0].revents & POLLIN)) {
    uint64_t count;
    (void)!::read(wake_.get(), &count, sizeof(count));
  }
}

void Watcher::Wake() {
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

}  // namespace mfn::file
