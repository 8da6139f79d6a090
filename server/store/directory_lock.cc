// The state directory's lock file.
#include "server/store/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace mfn::store {
namespace {

std::string HolderOf(int fd) {
  char text[32];
  const ssize_t size = pread(fd, text, sizeof(text), 0);
  if (size <= 0) return "unknown";
  return std::string(
      absl::StripAsciiWhitespace(absl::string_view(text, static_cast<size_t>(size))));
}

absl::Status LockedBy(const std::string& directory, const std::string& pid) {
  return absl::FailedPreconditionError(
      absl::StrCat("state directory ", directory, " is in use by another server, pid ", pid,
                   "; stop it or give this server a directory of its own"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Acquire(
    const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/lock");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the lock file ", path));
  }
  std::unique_ptr<DirectoryLock> lock(new DirectoryLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return LockedBy(directory, HolderOf(fd));
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", path));
  }
  // The pid only informs; the lock holds without it, so a full disk does not matter here.
  const std::string pid = absl::StrCat(getpid(), "\n");
  [[maybe_unused]] const bool named =
      ftruncate(fd, 0) == 0 && pwrite(fd, pid.data(), pid.size(), 0) > 0;
  return lock;
}

DirectoryLock::~DirectoryLock() { close(fd_); }

}  // namespace mfn::store
