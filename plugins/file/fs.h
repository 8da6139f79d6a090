// The file system, as the plugin needs it: descriptors that close themselves, whole writes, durable
// renames, and errors that say which file and what to do. Functions are thread-safe.
#ifndef MFN_PLUGINS_FILE_FS_H_
#define MFN_PLUGINS_FILE_FS_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "mfn/sdk/status.hpp"

namespace mfn::file {

using sdk::Status;

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { Reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// The status of a failed system call: PERMANENT never, since a directory can be repaired. Reasons:
// NO_SPACE (ENOSPC, EDQUOT, EFBIG), NO_ACCESS, NOT_FOUND, READ_ONLY, IO_ERROR. `what` is the verb.
Status SystemError(int error, std::string_view what, const std::string& path);

// What makes a file this file and no other: a file that changes is another file.
struct Identity {
  std::string path;  // absolute
  uint64_t inode = 0;
  int64_t mtime_ns = 0;
  uint64_t size = 0;

  bool operator==(const Identity& other) const {
    return inode == other.inode && mtime_ns == other.mtime_ns && size == other.size &&
           path == other.path;
  }
};

int64_t MtimeNs(const struct stat& st);
Identity MakeIdentity(const std::string& path, const struct stat& st);
// False when the path is not there, or is no regular file (a symbolic link is not).
bool StatRegular(const std::string& path, struct stat* st);

// Makes the directory and its parents.
Status MakeDirectories(const std::string& path);
// Makes entries of the directory durable.
Status SyncDirectory(const std::string& path);
// Writes everything or fails; what was written by then stays.
Status WriteAll(int fd, std::string_view bytes, const std::string& path);

// Moves `from` to `directory`/`name`, or to a free name made from it; never replaces a file. Across
// file systems: copies, syncs, renames, then removes. Not durable until both directories are
// synced. *to is the new path. A `from` that is gone already is Ok with *to empty.
Status MoveInto(const std::string& from, const std::string& directory, const std::string& name,
                std::string* to);
// rename() that fails with EEXIST instead of replacing. Returns 0 or an errno.
int RenameNoReplace(const std::string& from, const std::string& to);

// "a.tar.gz", ".2" -> "a.2.tar.gz": puts the text before the extensions.
std::string InsertBeforeExtension(const std::string& name, const std::string& text);
std::string ParentOf(const std::string& path);
std::string NameOf(const std::string& path);

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_FS_H_
