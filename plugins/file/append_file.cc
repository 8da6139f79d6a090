#include "plugins/file/append_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "plugins/file/encode.h"

namespace mfn::file {
namespace {

constexpr size_t kBlock = 64 << 10;

Status ReadAt(int fd, uint64_t offset, size_t size, const std::string& path, std::string* out) {
  out->resize(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t n =
        ::pread(fd, out->data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "read", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  out->resize(done);
  return Status::Ok();
}

std::time_t BirthTime(int fd) {
  struct statx stx = {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_MTIME, &stx) != 0) return 0;
  return static_cast<std::time_t>(stx.stx_mask & STATX_BTIME ? stx.stx_btime.tv_sec
                                                             : stx.stx_mtime.tv_sec);
}

}  // namespace

Status AppendFile::Open(const std::string& path, Format format, Compression compression,
                        bool truncate, Opened* opened) {
  std::unique_ptr<AppendFile> file(new AppendFile(path, format, compression));
  // Not O_APPEND: after a rollback the next write must go where the good part ends.
  file->fd_.Reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file->fd_.valid()) return SystemError(errno, "open", path);
  if (::flock(file->fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    return Status::Retryable("FILE_LOCKED", path +
                                                " is being written by another publisher or "
                                                "process; give each its own filename");
  }
  if (truncate && ::ftruncate(file->fd_.get(), 0) != 0) {
    return SystemError(errno, "truncate", path);
  }
  if (Status s = file->Repair(&opened->cut_bytes); !s.ok()) return s;
  if (Status s = SyncDirectory(ParentOf(path)); !s.ok()) return s;
  file->created_ = BirthTime(file->fd_.get());
  opened->file = std::move(file);
  return Status::Ok();
}

// Finds where the last complete line, row or member ends and cuts off the rest.
Status AppendFile::Repair(uint64_t* cut) {
  *cut = 0;
  struct stat st;
  if (::fstat(fd_.get(), &st) != 0) return SystemError(errno, "stat", path_);
  if (!S_ISREG(st.st_mode)) return SystemError(EINVAL, "append to", path_);
  const auto old_size = static_cast<uint64_t>(st.st_size);
  uint64_t complete = 0;
  bool add_newline = false;
  Status status;
  if (old_size == 0) {
    status = Status::Ok();
  } else if (compression_ != Compression::kNone) {
    status = RepairCompressed(&complete);
  } else if (format_ == Format::kCsv) {
    status = RepairCsv(&complete);
  } else {
    status = RepairPlain(old_size, &complete, &add_newline);
  }
  if (!status.ok()) return status;
  *cut = old_size - complete;
  if (complete != old_size && ::ftruncate(fd_.get(), static_cast<off_t>(complete)) != 0) {
    return SystemError(errno, "truncate", path_);
  }
  if (add_newline && ::pwrite(fd_.get(), "\n", 1, static_cast<off_t>(complete)) != 1) {
    return SystemError(errno, "write", path_);
  }
  size_ = complete + (add_newline ? 1 : 0);
  if (size_ != old_size && ::fsync(fd_.get()) != 0) return SystemError(errno, "sync", path_);
  return Status::Ok();
}

// Only the last line matters. One that is complete JSON has merely lost its newline (or somebody
// else wrote it without one): it stays.
Status AppendFile::RepairPlain(uint64_t old_size, uint64_t* complete, bool* add_newline) {
  std::string tail;
  uint64_t start = old_size;
  *complete = 0;
  while (start > 0) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(start, kBlock));
    std::string block;
    start -= size;
    if (Status s = ReadAt(fd_.get(), start, size, path_, &block); !s.ok()) return s;
    const size_t newline = block.rfind('\n');
    if (newline != std::string::npos) {
      *complete = start + newline + 1;
      tail.insert(0, block, newline + 1, std::string::npos);
      break;
    }
    tail.insert(0, block);
  }
  if (!tail.empty() && nlohmann::json::accept(tail)) {
    *complete = old_size;
    *add_newline = true;
  }
  return Status::Ok();
}

// From the start, since a newline inside quotes looks like any other.
Status AppendFile::RepairCsv(uint64_t* complete) {
  *complete = 0;
  std::string pending, block;
  for (uint64_t at = 0;; at += block.size()) {
    if (Status s = ReadAt(fd_.get(), at, 1 << 20, path_, &block); !s.ok()) return s;
    if (block.empty()) return Status::Ok();
    pending += block;
    const uint64_t good = CompleteCsvBytes(pending);
    if (*complete == 0 && good > 0) {
      for (size_t end = pending.find('\n'); end != std::string::npos;
           end = pending.find('\n', end + 1)) {
        if (CompleteCsvBytes(std::string_view(pending).substr(0, end + 1)) == 0) continue;
        header_ = ParseCsvRow(std::string_view(pending).substr(0, end + 1));
        break;
      }
    }
    *complete += good;
    pending.erase(0, good);
  }
}

// A member is written at once, so whole members are whole batches of lines.
Status AppendFile::RepairCompressed(uint64_t* complete) {
  if (::lseek(fd_.get(), 0, SEEK_SET) < 0) return SystemError(errno, "seek", path_);
  auto reader = ByteReader::Make(compression_, fd_.get(), path_);
  std::string text;
  bool end = false, have_header = false;
  while (!end) {
    Status status = reader->Read(kBlock, &text, &end);
    if (format_ == Format::kCsv && !have_header) {
      if (const size_t line = text.find('\n'); line != std::string::npos) {
        header_ = ParseCsvRow(std::string_view(text).substr(0, line + 1));
        have_header = true;
      }
    } else {
      text.clear();
    }
    if (status.ok()) continue;
    if (status.reason != "TRUNCATED" && status.reason != "CORRUPT") return status;
    // A file that does not even begin with a good member is not one of ours.
    if (reader->complete_bytes() == 0 && status.reason == "CORRUPT") {
      return Status::Permanent("CORRUPT", status.message + "; move it away or change `filename`");
    }
    break;
  }
  *complete = reader->complete_bytes();
  if (*complete == 0) header_.clear();
  return Status::Ok();
}

Status AppendFile::Append(std::string_view lines) {
  if (dirty_) {
    if (Status s = Rollback(Status::Ok()); !s.ok()) return s;
  }
  std::string packed;
  if (compression_ != Compression::kNone) {
    if (Status s = Compress(compression_, lines, &packed); !s.ok()) return s;
  }
  const std::string_view bytes =
      compression_ == Compression::kNone ? lines : std::string_view(packed);
  if (::lseek(fd_.get(), static_cast<off_t>(size_), SEEK_SET) < 0) {
    return Rollback(SystemError(errno, "seek", path_));
  }
  if (Status s = WriteAll(fd_.get(), bytes, path_); !s.ok()) return Rollback(std::move(s));
  if (::fdatasync(fd_.get()) != 0) return Rollback(SystemError(errno, "sync", path_));
  if (format_ == Format::kCsv && size_ == 0) {
    header_ = ParseCsvRow(lines.substr(0, lines.find('\n') + 1));
  }
  size_ += bytes.size();
  return Status::Ok();
}

Status AppendFile::Rollback(Status why) {
  dirty_ = ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0;
  if (dirty_ && why.ok()) return SystemError(errno, "truncate", path_);
  return why;
}

}  // namespace mfn::file
