#include "plugins/file/source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace mfn::file {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// Lane of all whole files; others count from 1.
constexpr uint64_t kWholeFiles = 0;
// A batch of whole files is finished as one: not so many that the first waits long for the last.
constexpr uint64_t kFilesPerBatch = 64;
// How often the position in a big file is kept: a durable write each.
constexpr seconds kProgressEvery{1};
constexpr seconds kUnreadableRetry{60};

std::string RecordId(const Identity& file, uint64_t line) {
  return file.path + ";inode=" + std::to_string(file.inode) +
         ";mtime=" + std::to_string(file.mtime_ns) + ";line=" + std::to_string(line);
}

}  // namespace

FileSource::FileSource(SourceConfig config, sdk::Host host)
    : config_(std::move(config)),
      host_(host),
      bad_records_(host.Counter("records_bad")),
      done_(host.state()),
      inbox_(&config_, &done_),
      finisher_(&config_, &done_, host) {
  if (!host.state().available()) {
    host_.Log(MFN_LOG_WARNING,
              "the host keeps no state: files that stay are read again after a restart");
  }
}

FileSource::~FileSource() {
  for (const auto& [lane, stream] : open_) {
    if (stream->again.empty() && stream->job.only.empty() && stream->acked > 0) {
      done_.SetProgress(stream->job.file, stream->acked);
    }
  }
}

Status FileSource::Connect(sdk::Call&) {
  if (Status s = inbox_.Open(); !s.ok()) return s;
  if (Status s = finisher_.MakeDirectories(); !s.ok()) return s;
  if (!loaded_) {
    if (Status s = done_.Load(); !s.ok()) return s;
    loaded_ = true;
  }
  if (config_.watch) {
    if (Status s = watcher_.Watch(inbox_.directory()); !s.ok()) return s;
  }
  const Time now = steady_clock::now();
  next_scan_ = now + config_.rescan;
  return inbox_.Scan(now);
}

Status FileSource::Check() const {
  std::string path = config_.path;
  if (::access(path.c_str(), R_OK) == 0) return Status::Ok();
  const int error = errno;
  // A path with a glob names no file; its directory must be there.
  if (error == ENOENT && path.find_first_of("*?[") != std::string::npos &&
      ::access(ParentOf(path).c_str(), R_OK) == 0) {
    return Status::Ok();
  }
  return SystemError(error, "read", path);
}

Status FileSource::Read(sdk::Call& call, uint64_t max_records, uint64_t max_bytes,
                        sdk::BatchBuilder& out) {
  if (max_records == 0) return Status::Ok();  // lanes are never taken away, nothing to keep alive
  for (;;) {
    const Time now = steady_clock::now();
    if (Status s = Look(now); !s.ok()) return s;
    if (Status s = Fill(max_records, max_bytes, out); !s.ok() || !out.empty()) return s;
    if (!config_.watch && Finished()) return Status::End();
    if (call.over()) return Status::Ok();
    const Time next = std::min(inbox_.NextDue(), config_.watch ? next_scan_ : Time::max());
    milliseconds wait = call.Slice();
    if (next != Time::max()) {
      wait =
          std::min(wait, std::chrono::ceil<milliseconds>(std::max(next - now, Time::duration(0))));
    }
    watcher_.Wait(wait);
  }
}

// Takes in what happened in the directory.
Status FileSource::Look(Time now) {
  if (config_.watch) {
    Watcher::Events events;
    if (Status s = watcher_.Drain(&events); !s.ok()) return s;
    if (events.gone) {
      return Status::NotConnected("NOT_FOUND", inbox_.directory() +
                                                   " was removed or renamed; make "
                                                   "it again");
    }
    for (const std::string& name : events.complete) inbox_.Complete(name);
    if (events.overflow || now >= next_scan_) {
      next_scan_ = now + config_.rescan;
      if (Status s = inbox_.Scan(now); !s.ok()) {
        return Status::NotConnected(s.reason, s.message);
      }
    }
  }
  inbox_.Promote(now);
  for (size_t i = unclosed_.size(); i-- > 0;) {
    if (Status s = Close(unclosed_[i].get()); !s.ok()) return s;
    unclosed_.erase(unclosed_.begin() + static_cast<ptrdiff_t>(i));
  }
  return Status::Ok();
}

Status FileSource::Fill(uint64_t max_records, uint64_t max_bytes, sdk::BatchBuilder& out) {
  while (out.empty()) {
    if (current_ != nullptr) {
      AddRows(max_records, max_bytes, out);
      continue;
    }
    Job job;
    if (!inbox_.Pop(&job)) return Status::Ok();
    std::string stem = job.name;
    if (config_.decompress) CompressionOf(job.name, &stem);
    if (IsWholeFile(FormatOf(config_.format, stem))) {
      AddFiles(std::move(job), max_records, max_bytes, out);
    } else {
      OpenStream(std::move(job));
    }
  }
  return Status::Ok();
}

// Opens the file and makes sure that it still is the one that was found complete.
FileSource::Opened FileSource::OpenFile(Job* job, Fd* fd) {
  // Not blocking, in case a pipe has taken the name.
  fd->Reset(::open(job->file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat st;
  if (fd->valid() && ::fstat(fd->get(), &st) == 0 && S_ISREG(st.st_mode)) {
    if (MakeIdentity(job->file.path, st) == job->file) return Opened::kYes;
    // Written to in between: as if it had just been found.
    inbox_.Again({job->name, MakeIdentity(job->file.path, st), {}, false},
                 steady_clock::now() + config_.settle);
    return Opened::kNo;
  }
  if (!fd->valid() && errno != ENOENT && errno != ELOOP) {
    GiveUp(std::move(*job), SystemError(errno, "open", job->file.path));
  } else {
    inbox_.Release(job->name);
  }
  return Opened::kNo;
}

// A file that cannot be read now: passing troubles are tried again, others end it.
void FileSource::GiveUp(Job job, const Status& why) {
  host_.Log(MFN_LOG_ERROR, why.message);
  if (why.code == MFN_RETRYABLE) {
    if (config_.watch) {
      inbox_.Again(std::move(job), steady_clock::now() + kUnreadableRetry);
    } else {
      inbox_.Release(job.name);  // not remembered: the next run may be able to read it
    }
    return;
  }
  job.failed = true;
  const std::string name = job.name;
  if (Status s = finisher_.Finish({std::move(job)}, inbox_.directory()); !s.ok()) {
    host_.Log(MFN_LOG_ERROR, s.message);
  }
  inbox_.Release(name);
}

void FileSource::AddRecord(RawRecord raw, Job* job, sdk::BatchBuilder& out) {
  sdk::BatchBuilder::Record record = out.Add();
  record.Id(RecordId(job->file, raw.line)).Time(job->file.mtime_ns);
  record.Attr("content-type", raw.content_type).Attr("file", job->file.path);
  if (raw.line != 0) record.Attr("line", std::to_string(raw.line));
  if (raw.present) record.Payload(std::move(raw.payload));
  if (raw.error.empty()) return;
  record.Attr(MFN_ATTR_ERROR, raw.error);
  bad_records_.Add();
  host_.Log(MFN_LOG_ERROR, job->file.path + ": " + raw.error);
  if (!raw.present) job->failed = true;
}

void FileSource::AddFiles(Job first, uint64_t max_records, uint64_t max_bytes,
                          sdk::BatchBuilder& out) {
  Batch batch;
  const uint64_t limit = std::min(max_records, kFilesPerBatch);
  Job job = std::move(first);
  for (;;) {
    if (AddWholeFile(&job, out)) batch.files.push_back(std::move(job));
    if (out.size() >= limit || out.payload_bytes() >= max_bytes || !inbox_.Pop(&job)) break;
    std::string stem = job.name;
    if (config_.decompress) CompressionOf(job.name, &stem);
    if (!IsWholeFile(FormatOf(config_.format, stem))) {
      OpenStream(std::move(job));
      break;
    }
  }
  if (batch.files.empty()) return;
  out.Lane(kWholeFiles).Flags(MFN_LANE_UNORDERED).AckId(next_ack_);
  std::lock_guard<std::mutex> lock(mutex_);
  batches_.emplace(next_ack_++, std::move(batch));
}

bool FileSource::AddWholeFile(Job* job, sdk::BatchBuilder& out) {
  Fd fd;
  if (OpenFile(job, &fd) == Opened::kNo) return false;
  std::string stem = job->name;
  const Compression compression =
      config_.decompress ? CompressionOf(job->name, &stem) : Compression::kNone;
  auto reader = MakeRecordReader(FormatOf(config_.format, stem),
                                 ByteReader::Make(compression, fd.get(), job->file.path), config_);
  RawRecord raw;
  bool end = false;
  if (Status s = reader->Next(&raw, &end); !s.ok()) {
    GiveUp(std::move(*job), s);
    return false;
  }
  AddRecord(std::move(raw), job, out);
  return true;
}

void FileSource::OpenStream(Job job) {
  auto stream = std::make_shared<Stream>();
  if (OpenFile(&job, &stream->fd) == Opened::kNo) return;
  if (job.only.empty()) {
    // A position that cannot be read costs repetition, which the record ids make harmless.
    if (Status s = done_.Progress(job.file, &stream->skip); !s.ok()) {
      host_.Log(MFN_LOG_WARNING, s.message);
    }
    stream->acked = stream->skip;
    stream->progress_kept = stream->skip > 0;
  }
  std::string stem = job.name;
  const Compression compression =
      config_.decompress ? CompressionOf(job.name, &stem) : Compression::kNone;
  stream->reader =
      MakeRecordReader(FormatOf(config_.format, stem),
                       ByteReader::Make(compression, stream->fd.get(), job.file.path), config_);
  stream->job = std::move(job);
  stream->lane = next_lane_++;
  current_ = std::move(stream);
  std::lock_guard<std::mutex> lock(mutex_);
  open_[current_->lane] = current_;
}

// Adds rows of the current stream until a limit or its end.
void FileSource::AddRows(uint64_t max_records, uint64_t max_bytes, sdk::BatchBuilder& out) {
  Stream* stream = current_.get();
  Batch batch;
  bool end = false;
  while (!end && out.size() < max_records && out.payload_bytes() < max_bytes) {
    RawRecord raw;
    if (Status s = stream->reader->Next(&raw, &end); !s.ok()) {
      host_.Log(MFN_LOG_ERROR, stream->job.file.path + ": " + s.message +
                                   "; what came before is given, the rest is not");
      stream->job.failed = end = true;
    }
    if (end) break;
    const uint64_t number = ++stream->records;
    if (number <= stream->skip) continue;
    if (!stream->job.only.empty() && stream->job.only.count(number) == 0) continue;
    batch.records.push_back(number);
    AddRecord(std::move(raw), &stream->job, out);
  }
  if (!batch.records.empty()) {
    batch.stream = current_;
    out.Lane(stream->lane).AckId(next_ack_);
    std::lock_guard<std::mutex> lock(mutex_);
    ++stream->unacked;
    batches_.emplace(next_ack_++, std::move(batch));
  }
  if (end) EndStream();
}

void FileSource::EndStream() {
  std::shared_ptr<Stream> stream = std::move(current_);
  current_.reset();
  stream->reader.reset();
  stream->fd.Reset();
  bool acked = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stream->ended = true;
    acked = stream->unacked == 0;
  }
  if (!acked) return;  // the last ack closes it
  if (Status s = Close(stream.get()); !s.ok()) {
    host_.Log(MFN_LOG_WARNING, s.message);
    unclosed_.push_back(std::move(stream));
  }
}

// All records of an ended stream have been acked: finishes the file, or reads again what was given
// back.
Status FileSource::Close(Stream* stream) {
  std::set<uint64_t> again;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    again = stream->again;
  }
  if (!again.empty()) {
    Job job = stream->job;
    job.only = std::move(again);
    inbox_.Again(std::move(job), steady_clock::now() + config_.redeliver);
  } else {
    if (Status s = finisher_.Finish({stream->job}, inbox_.directory()); !s.ok()) return s;
    if (stream->progress_kept) done_.ClearProgress(stream->job.file);
    inbox_.Release(stream->job.name);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  open_.erase(stream->lane);
  return Status::Ok();
}

bool FileSource::Finished() {
  if (current_ != nullptr || !unclosed_.empty() || !inbox_.Idle()) return false;
  std::lock_guard<std::mutex> lock(mutex_);
  return batches_.empty() && open_.empty();
}

Status FileSource::Ack(sdk::Call&, uint64_t ack_id, sdk::Outcomes outcomes) {
  Batch* batch = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto it = batches_.find(ack_id);
    if (it == batches_.end()) return Status::Ok();  // settled already
    batch = &it->second;                            // stays where it is; only Ack removes batches
  }
  Status status = batch->stream == nullptr ? AckFiles(batch, outcomes) : AckRows(batch, outcomes);
  // Kept after a failure: the host calls again.
  if (!status.ok()) return status;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    batches_.erase(ack_id);
  }
  watcher_.Wake();
  return Status::Ok();
}

Status FileSource::AckFiles(Batch* batch, sdk::Outcomes outcomes) {
  std::vector<Job> finished, again;
  for (size_t i = 0; i < batch->files.size(); ++i) {
    (outcomes[i] == MFN_RETRYABLE ? again : finished).push_back(batch->files[i]);
  }
  if (Status s = finisher_.Finish(finished, inbox_.directory()); !s.ok()) return s;
  for (const Job& job : finished) inbox_.Release(job.name);
  for (Job& job : again) inbox_.Again(std::move(job), steady_clock::now() + config_.redeliver);
  return Status::Ok();
}

Status FileSource::AckRows(Batch* batch, sdk::Outcomes outcomes) {
  Stream* stream = batch->stream.get();
  if (!batch->applied) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < batch->records.size(); ++i) {
      if (outcomes[i] == MFN_RETRYABLE) stream->again.insert(batch->records[i]);
    }
    if (stream->again.empty()) stream->acked = batch->records.back();
    --stream->unacked;
    batch->applied = true;
    batch->last = stream->ended && stream->unacked == 0;
  }
  if (batch->last) return Close(stream);
  Progress(stream);
  return Status::Ok();
}

// Best effort: without it a restart repeats more, with the same ids.
void FileSource::Progress(Stream* stream) {
  uint64_t acked = 0;
  const Time now = steady_clock::now();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!stream->again.empty() || !stream->job.only.empty()) return;
    if (stream->last_progress == Time()) stream->last_progress = now;
    if (now - stream->last_progress < kProgressEvery) return;
    stream->last_progress = now;
    stream->progress_kept = true;
    acked = stream->acked;
  }
  if (Status s = done_.SetProgress(stream->job.file, acked); !s.ok()) {
    host_.Log(MFN_LOG_WARNING, s.message);
  }
}

}  // namespace mfn::file
