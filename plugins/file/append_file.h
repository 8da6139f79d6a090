// One growing file of lines or rows, plain or compressed. What Append returned Ok for survives a
// crash; what it did not is rolled back, at once or, after a crash, when the file is opened again.
// Not thread-safe; the file is locked against other writers.
#ifndef MFN_PLUGINS_FILE_APPEND_FILE_H_
#define MFN_PLUGINS_FILE_APPEND_FILE_H_

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/file/config.h"
#include "plugins/file/fs.h"

namespace mfn::file {

class AppendFile {
 public:
  struct Opened {
    std::unique_ptr<AppendFile> file;
    uint64_t cut_bytes = 0;  // of a torn end, removed
  };
  // Makes the file if it is not there; `truncate`: empties it. RETRYABLE with reason FILE_LOCKED
  // when another publisher or process writes it.
  static Status Open(const std::string& path, Format format, Compression compression, bool truncate,
                     Opened* opened);

  // Adds complete lines, compressed as one member or frame, and makes them durable.
  Status Append(std::string_view lines);

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // on disk
  bool empty() const { return size_ == 0; }
  std::time_t created() const { return created_; }
  // csv: the columns of the first row, empty in an empty file.
  const std::vector<std::string>& header() const { return header_; }

 private:
  AppendFile(std::string path, Format format, Compression compression)
      : path_(std::move(path)), format_(format), compression_(compression) {}
  Status Repair(uint64_t* cut);
  Status RepairPlain(uint64_t old_size, uint64_t* complete, bool* add_newline);
  Status RepairCsv(uint64_t* complete);
  Status RepairCompressed(uint64_t* complete);
  Status Rollback(Status why);

  const std::string path_;
  const Format format_;
  const Compression compression_;
  Fd fd_;
  uint64_t size_ = 0;
  std::time_t created_ = 0;
  bool dirty_ = false;  // a rollback failed: the end is not known to be good
  std::vector<std::string> header_;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_APPEND_FILE_H_
