// Durable files with the POSIX calls.
#include "server/store/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace mfn::store {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status Failed(absl::string_view what, const std::string& path, int error) {
  std::string text = absl::StrCat("cannot ", what, " ", path);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    absl::StrAppend(&text, ": ", absl::ErrnoToStatus(error, "").message(),
                    "; free space on its disk");
    return absl::ResourceExhaustedError(text);
  }
  return absl::ErrnoToStatus(error, text);
}

absl::Status WriteAndSync(int fd, const std::string& path, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", path, errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return Failed("sync", path, errno);
  return absl::OkStatus();
}

}  // namespace

absl::Status SyncDirectory(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return Failed("open directory", path, errno);
  if (fsync(fd.get()) != 0) return Failed("sync directory", path, errno);
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path parent = fs::absolute(fs::path(path), error).lexically_normal().parent_path();
  fs::create_directories(parent, error);
  if (error) return Failed("make directory", parent.string(), error.value());
  if (mkdir(path.c_str(), 0700) == 0) return SyncDirectory(parent.string());
  if (errno != EEXIST) return Failed("make directory", path, errno);
  if (fs::is_directory(path, error)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, " is not a directory"));
}

absl::Status WriteNewFile(const std::string& path, absl::string_view bytes) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.get() < 0) return Failed("make", path, errno);
  absl::Status status = WriteAndSync(fd.get(), path, bytes);
  if (!status.ok()) unlink(path.c_str());
  return status;
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0) return Failed("open", path, errno);
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("read", path, errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace mfn::store
