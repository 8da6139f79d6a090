#include "plugins/file/sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <utility>

namespace mfn::file {
namespace {

constexpr size_t kMaxOpenFiles = 16;
constexpr uint64_t kFilesAtOnce = 64;
constexpr const char* kTemporary = ".mfn-tmp-";
constexpr int kMaxNames = 100'000;

// Leftovers of a crash: nobody else makes such names, and a write takes less than an hour.
void RemoveStaleTemporaries(const std::string& directory, std::time_t now) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    struct stat st;
    if (name.compare(0, std::string_view(kTemporary).size(), kTemporary) == 0 &&
        StatRegular(entry.path().string(), &st) && st.st_mtime < now - 3600) {
      ::unlink(entry.path().c_str());
    }
  }
}

}  // namespace

FileSink::FileSink(SinkConfig config, sdk::Host host, Clock clock)
    : config_(std::move(config)),
      host_(host),
      clock_(std::move(clock)),
      files_(host.Counter("files_written")),
      rotations_(host.Counter("files_rotated")),
      repaired_(host.Counter("files_repaired")) {
  NameTemplate::Parse(config_.filename, &name_);
}

Status FileSink::Connect(sdk::Call&) {
  open_.clear();
  recent_.clear();
  if (Status s = MakeDirectories(config_.path); !s.ok()) return s;
  if (::access(config_.path.c_str(), W_OK | X_OK) != 0) {
    return SystemError(errno, "write into", config_.path);
  }
  RemoveStaleTemporaries(config_.path, clock_());
  return Status::Ok();
}

Status FileSink::Check() const {
  if (::access(config_.path.c_str(), W_OK | X_OK) == 0) return Status::Ok();
  return SystemError(errno, "write into", config_.path);
}

Status FileSink::Write(sdk::Call& call, sdk::BatchView batch) {
  const bool rows = config_.format == Format::kJsonl || config_.format == Format::kCsv;
  Status status = rows ? WriteRows(call, batch) : WriteFiles(call, batch);
  if (status.reason == "NOT_FOUND") status.code = MFN_NOT_CONNECTED;  // Connect makes the directory
  return status;
}

// ---------------------------------------------------------------- a file per record

namespace {

// A file that has no name yet; removed unless it got one.
struct Unnamed {
  std::string temporary, name;
  Fd fd;
  ~Unnamed() {
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }
};

}  // namespace

Status FileSink::WriteFiles(sdk::Call& call, sdk::BatchView batch) {
  // A file is open for each record of a piece, so a piece is small.
  for (uint64_t first = 0; first < batch.size(); first += kFilesAtOnce) {
    const uint64_t last = std::min<uint64_t>(batch.size(), first + kFilesAtOnce);
    if (Status s = WriteSomeFiles(call, batch, first, last); !s.ok()) return s;
  }
  return SyncDirectory(config_.path);
}

// All are written before any is synced, so that the disk works on them together.
Status FileSink::WriteSomeFiles(sdk::Call& call, sdk::BatchView batch, uint64_t first,
                                uint64_t last) {
  std::deque<Unnamed> files;
  const std::time_t now = clock_();
  for (uint64_t i = first; i < last; ++i) {
    const sdk::RecordView record = batch[i];
    Status fit = config_.format == Format::kJson ? CheckJson(record) : Status::Ok();
    if (!fit.ok()) {
      call.FailRecord(i, fit);
      continue;
    }
    Unnamed& file = files.emplace_back();
    file.name = name_.Render(record, now, ++seq_);
    std::string packed;
    if (Status s = Compress(config_.compression, record.payload(), &packed); !s.ok()) return s;
    if (Status s = WriteTemporary(packed, &file.temporary, &file.fd); !s.ok()) return s;
  }
  for (Unnamed& file : files) ::sync_file_range(file.fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  for (Unnamed& file : files) {
    if (::fsync(file.fd.get()) != 0) return SystemError(errno, "sync", file.temporary);
  }
  const bool replace = config_.write == WriteMode::kOverwrite || name_.has_id();
  for (Unnamed& file : files) {
    if (Status s = Publish(file.temporary, file.name, replace); !s.ok()) return s;
    file.temporary.clear();
    files_.Add();
  }
  return Status::Ok();
}

Status FileSink::WriteTemporary(const std::string& bytes, std::string* path, Fd* fd) {
  const std::string name = config_.path + "/" + kTemporary + std::to_string(::getpid()) + "-" +
                           std::to_string(reinterpret_cast<uintptr_t>(this)) + "-" +
                           std::to_string(++temporaries_);
  // A leftover of an earlier process with the same numbers may be there.
  fd->Reset(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd->valid()) return SystemError(errno, "create a file in", config_.path);
  *path = name;
  return WriteAll(fd->get(), bytes, name);
}

// Gives the temporary its name; without `replace` a name that is taken gets a number.
Status FileSink::Publish(const std::string& temporary, const std::string& name, bool replace) {
  std::string target = config_.path + "/" + name;
  if (replace) {
    if (::rename(temporary.c_str(), target.c_str()) == 0) return Status::Ok();
    return SystemError(errno, "rename a file to", target);
  }
  for (int n = 1; n < kMaxNames; ++n) {
    const int error = RenameNoReplace(temporary, target);
    if (error == 0) return Status::Ok();
    if (error != EEXIST) return SystemError(error, "rename a file to", target);
    target = config_.path + "/" + InsertBeforeExtension(name, "-" + std::to_string(n));
  }
  return SystemError(EEXIST, "find a free name for", target);
}

// ---------------------------------------------------------------- many records in a file

FileSink::Groups FileSink::GroupRows(sdk::Call& call, sdk::BatchView batch) {
  Groups groups;
  std::map<std::string, size_t> by_name;
  const std::time_t now = clock_();
  // In atomic mode a batch is a file; {seq} counts files then, not records.
  if (config_.write == WriteMode::kAtomic) ++seq_;
  for (uint64_t i = 0; i < batch.size(); ++i) {
    const sdk::RecordView record = batch[i];
    Row row{i, {}, {}};
    Status fit = CheckJson(record);
    if (fit.ok() && config_.format == Format::kCsv) fit = Flatten(record.payload(), &row.fields);
    if (!fit.ok()) {
      call.FailRecord(i, fit);
      continue;
    }
    if (config_.format == Format::kJsonl) row.text = JsonLine(record.payload());
    if (config_.write != WriteMode::kAtomic) ++seq_;
    const std::string name = name_.Render(record, now, seq_);
    const auto [it, fresh] = by_name.try_emplace(name, groups.size());
    if (fresh) groups.push_back({name, {}});
    groups[it->second].second.push_back(std::move(row));
  }
  return groups;
}

// A failure in a later file leaves what earlier ones got: only the records not written fail.
Status FileSink::WriteRows(sdk::Call& call, sdk::BatchView batch) {
  const Groups groups = GroupRows(call, batch);
  Status first_failure;
  bool any_written = false;
  std::vector<std::pair<const std::vector<Row>*, Status>> failed;
  for (const auto& [name, rows] : groups) {
    Status status =
        config_.write == WriteMode::kAtomic ? NewFileOfRows(name, rows) : AppendGroup(name, rows);
    any_written |= status.ok();
    if (status.ok()) continue;
    if (first_failure.ok()) first_failure = status;
    failed.push_back({&rows, std::move(status)});
  }
  if (failed.empty() || !any_written) return first_failure;
  for (const auto& [rows, status] : failed) {
    for (const Row& row : *rows) call.FailRecord(row.index, status);
  }
  return Status::Ok();
}

Status FileSink::NewFileOfRows(const std::string& name, const std::vector<Row>& rows) {
  std::string text, packed;
  if (config_.format == Format::kCsv) {
    std::vector<std::string> header = config_.columns;
    if (header.empty()) {
      for (const Row& row : rows) ExtendHeader(row.fields, &header);
    }
    text = CsvRow(header);
    for (const Row& row : rows) text += CsvRow(header, row.fields);
  } else {
    for (const Row& row : rows) text += row.text;
  }
  if (Status s = Compress(config_.compression, text, &packed); !s.ok()) return s;
  std::string temporary;
  Fd fd;
  Status status = WriteTemporary(packed, &temporary, &fd);
  if (status.ok() && ::fsync(fd.get()) != 0) status = SystemError(errno, "sync", temporary);
  if (status.ok()) status = Publish(temporary, name, false);
  if (!status.ok()) {
    if (!temporary.empty()) ::unlink(temporary.c_str());
    return status;
  }
  files_.Add();
  return SyncDirectory(config_.path);
}

Status FileSink::AppendGroup(const std::string& name, const std::vector<Row>& rows) {
  for (size_t first = 0; first < rows.size();) {
    size_t taken = 0;
    if (Status s = AppendTo(name, rows, first, &taken); !s.ok()) return s;
    first += taken;
  }
  return Status::Ok();
}

// Appends rows from `first` on; for csv only as many as fit one header.
Status FileSink::AppendTo(const std::string& name, const std::vector<Row>& rows, size_t first,
                          size_t* taken) {
  AppendFile* file = nullptr;
  if (Status s = OpenFile(name, &file); !s.ok()) return s;
  std::string text;
  if (config_.format == Format::kJsonl) {
    for (size_t i = first; i < rows.size(); ++i) text += rows[i].text;
  } else {
    std::vector<std::string> header = file->empty() ? config_.columns : file->header();
    // Columns that the file lacks: a new file gets them all, appended to the known ones. All rows
    // at hand are considered, so that one batch starts at most one file.
    bool widened = false;
    if (config_.columns.empty()) {
      for (size_t i = first; i < rows.size(); ++i) widened |= ExtendHeader(rows[i].fields, &header);
    } else {
      widened = !file->empty() && header != config_.columns;
      header = config_.columns;
    }
    if (widened && !file->empty()) {
      if (Status s = Rotate(name); !s.ok()) return s;
      if (Status s = OpenFile(name, &file); !s.ok()) return s;
    }
    if (file->empty()) text = CsvRow(header);
    for (size_t i = first; i < rows.size(); ++i) text += CsvRow(header, rows[i].fields);
  }
  *taken = rows.size() - first;
  return file->Append(text);
}

bool FileSink::RotationDue(const AppendFile& file) const {
  if (file.empty()) return false;
  if (config_.rotate_bytes != 0 && file.size() >= config_.rotate_bytes) return true;
  const auto age = config_.rotate_after.count();
  return age != 0 && clock_() - file.created() >= age;
}

Status FileSink::OpenFile(const std::string& name, AppendFile** file) {
  for (;;) {
    auto it = open_.find(name);
    if (it == open_.end()) {
      const bool truncate = config_.write == WriteMode::kOverwrite && truncated_.count(name) == 0;
      AppendFile::Opened opened;
      if (Status s = AppendFile::Open(config_.path + "/" + name, config_.format,
                                      config_.compression, truncate, &opened);
          !s.ok()) {
        return s;
      }
      if (truncate) truncated_.insert(name);
      if (opened.cut_bytes != 0) {
        repaired_.Add();
        host_.Log(MFN_LOG_WARNING, opened.file->path() +
                                       " ended in the middle of a record, as after "
                                       "a crash; cut off " +
                                       std::to_string(opened.cut_bytes) +
                                       " bytes that were never confirmed");
      }
      it = open_.emplace(name, std::move(opened.file)).first;
      recent_.push_front(name);
      files_.Add();
      if (recent_.size() > kMaxOpenFiles) {
        open_.erase(recent_.back());
        recent_.pop_back();
      }
    }
    if (!RotationDue(*it->second)) {
      recent_.remove(name);
      recent_.push_front(name);
      *file = it->second.get();
      return Status::Ok();
    }
    if (Status s = Rotate(name); !s.ok()) return s;
  }
}

// "results.jsonl" becomes "results.20260131T235959Z.jsonl" and makes room for a new one.
Status FileSink::Rotate(const std::string& name) {
  const std::string stamp = "." + FormatTime("%Y%m%dT%H%M%SZ", clock_());
  if (Status s = Publish(config_.path + "/" + name, InsertBeforeExtension(name, stamp), false);
      !s.ok()) {
    return s;
  }
  open_.erase(name);
  recent_.remove(name);
  rotations_.Add();
  return SyncDirectory(config_.path);
}

}  // namespace mfn::file
