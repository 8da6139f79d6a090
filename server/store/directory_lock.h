// The lock that keeps a second server out of a state directory: flock on a file "lock" in it, which
// holds the owner's pid for a reader. The kernel drops the lock when the process ends, however it
// ends, so there is no stale lock.
#ifndef MFN_SERVER_STORE_DIRECTORY_LOCK_H_
#define MFN_SERVER_STORE_DIRECTORY_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace mfn::store {

class DirectoryLock {
 public:
  // FAILED_PRECONDITION, naming the directory and the holder's pid: it is locked.
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Acquire(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_DIRECTORY_LOCK_H_
