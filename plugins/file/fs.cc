#include "plugins/file/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace mfn::file {
namespace {

// Removes a half-made copy unless it was kept.
struct Discard {
  std::string path;
  bool keep = false;
  ~Discard() {
    if (!keep) ::unlink(path.c_str());
  }
};

Status CopyDurably(const std::string& from, const std::string& to) {
  Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in.valid()) return SystemError(errno, "open", from);
  Discard discard{to};
  Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!out.valid()) return SystemError(errno, "create", to);
  std::string buffer(1 << 16, '\0');
  for (;;) {
    const ssize_t n = ::read(in.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "read", from);
    if (n == 0) break;
    if (Status s = WriteAll(out.get(), {buffer.data(), static_cast<size_t>(n)}, to); !s.ok()) {
      return s;
    }
  }
  if (::fsync(out.get()) != 0) return SystemError(errno, "sync", to);
  discard.keep = true;
  return Status::Ok();
}

}  // namespace

void Fd::Reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Status SystemError(int error, std::string_view what, const std::string& path) {
  const std::string head = "cannot " + std::string(what) + " " + path + ": ";
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Status::Retryable(
          "NO_SPACE", head + std::strerror(error) + "; free space there or raise the limit");
    case EACCES:
    case EPERM:
      return Status::Retryable(
          "NO_ACCESS", head + std::strerror(error) + "; give the server's user access to it");
    case EROFS:
      return Status::Retryable("READ_ONLY", head + std::strerror(error));
    case ENOENT:
    case ENOTDIR:
      return Status::Retryable("NOT_FOUND",
                               head + std::strerror(error) + "; create it or correct `path`");
    default:
      return Status::Retryable("IO_ERROR", head + std::strerror(error));
  }
}

int64_t MtimeNs(const struct stat& st) {
  return static_cast<int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
}

Identity MakeIdentity(const std::string& path, const struct stat& st) {
  return {path, st.st_ino, MtimeNs(st), static_cast<uint64_t>(st.st_size)};
}

bool StatRegular(const std::string& path, struct stat* st) {
  return ::lstat(path.c_str(), st) == 0 && S_ISREG(st->st_mode);
}

Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return SystemError(error.value(), "create directory", path);
  return Status::Ok();
}

Status SyncDirectory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return SystemError(errno, "open directory", path);
  // Some network file systems cannot sync a directory; their renames are synchronous.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return SystemError(errno, "sync directory", path);
  return Status::Ok();
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "write", path);
    if (n == 0) return SystemError(ENOSPC, "write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Status::Ok();
}

int RenameNoReplace(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // The file system lacks it: a hard link refuses an existing name as well.
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  ::unlink(from.c_str());
  return 0;
}

Status MoveInto(const std::string& from, const std::string& directory, const std::string& name,
                std::string* to) {
  to->clear();
  struct stat st;
  if (::lstat(from.c_str(), &st) != 0) {
    return errno == ENOENT ? Status::Ok() : SystemError(errno, "stat", from);
  }
  std::string source = from;
  for (int attempt = 0; attempt < 10'000; ++attempt) {
    std::string candidate = name;
    // The modification time first: it almost always is free at once, however many came before.
    if (attempt == 1) candidate = InsertBeforeExtension(name, "." + std::to_string(MtimeNs(st)));
    if (attempt > 1) {
      candidate = InsertBeforeExtension(
          name, "." + std::to_string(MtimeNs(st)) + "-" + std::to_string(attempt));
    }
    const std::string target = directory + "/" + candidate;
    const int error = RenameNoReplace(source, target);
    if (error == 0) {
      if (source != from && ::unlink(from.c_str()) != 0 && errno != ENOENT) {
        return SystemError(errno, "remove", from);
      }
      *to = target;
      return Status::Ok();
    }
    if (error == EEXIST) continue;
    if (error == EXDEV && source == from) {
      const std::string temporary = directory + "/." + name + ".copying";
      if (Status s = CopyDurably(from, temporary); !s.ok()) return s;
      source = temporary;
      --attempt;
      continue;
    }
    return SystemError(error, "move " + from + " to", target);
  }
  return SystemError(EEXIST, "find a free name for", directory + "/" + name);
}

std::string InsertBeforeExtension(const std::string& name, const std::string& text) {
  const size_t dot = name.find('.', 1);
  if (dot == std::string::npos) return name + text;
  return name.substr(0, dot) + text + name.substr(dot);
}

std::string ParentOf(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace mfn::file
