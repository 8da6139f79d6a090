// Files as a source of records.
//
//   directory --Inbox--> complete files --RecordReader--> batches --acks--> Finisher
//
// Whole files (json, raw) have no order among each other, so many of them make one unordered batch;
// that is what makes a thousand small files cheap. A file of lines or rows is a lane of its own.
//
// Record id: "<path>;inode=<n>;mtime=<ns>;line=<n>" (line from 1, where the record starts; 0 for a
// whole file). Read: one thread; Ack: one thread, beside Read.
#ifndef MFN_PLUGINS_FILE_SOURCE_H_
#define MFN_PLUGINS_FILE_SOURCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "mfn/plugin.hpp"
#include "plugins/file/config.h"
#include "plugins/file/done_log.h"
#include "plugins/file/finisher.h"
#include "plugins/file/inbox.h"
#include "plugins/file/record_reader.h"
#include "plugins/file/watcher.h"

namespace mfn::file {

class FileSource {
 public:
  FileSource(SourceConfig config, sdk::Host host);
  ~FileSource();  // keeps how far unfinished files were acked

  Status Connect(sdk::Call& call);
  Status Check() const;
  Status Read(sdk::Call& call, uint64_t max_records, uint64_t max_bytes, sdk::BatchBuilder& out);
  Status Ack(sdk::Call& call, uint64_t ack_id, sdk::Outcomes outcomes);

 private:
  // A file of lines or rows, from its opening until its last ack.
  struct Stream {
    Job job;
    uint64_t lane = 0;
    Fd fd;
    std::unique_ptr<RecordReader> reader;  // Read's thread only; null after the end
    uint64_t records = 0;                  // read so far; Read's thread only
    uint64_t skip = 0;                     // acked by an earlier process; Read's thread only
    // Guarded by mutex_.
    bool ended = false;
    uint64_t unacked = 0;      // batches
    uint64_t acked = 0;        // records without a gap
    std::set<uint64_t> again;  // records given back
    Time last_progress = {};
    bool progress_kept = false;
  };
  struct Batch {
    std::vector<Job> files;              // whole files, one per record; or
    std::shared_ptr<Stream> stream;      // a stream and
    std::vector<uint64_t> records;       // the numbers of its records
    bool applied = false, last = false;  // the ack was counted; it was the stream's last
  };
  enum class Opened { kYes, kNo };

  Status Look(Time now);
  Status Fill(uint64_t max_records, uint64_t max_bytes, sdk::BatchBuilder& out);
  Opened OpenFile(Job* job, Fd* fd);
  void AddFiles(Job first, uint64_t max_records, uint64_t max_bytes, sdk::BatchBuilder& out);
  bool AddWholeFile(Job* job, sdk::BatchBuilder& out);
  void OpenStream(Job job);
  void AddRows(uint64_t max_records, uint64_t max_bytes, sdk::BatchBuilder& out);
  void EndStream();
  void AddRecord(RawRecord raw, Job* job, sdk::BatchBuilder& out);
  Status Close(Stream* stream);
  void GiveUp(Job job, const Status& why);
  bool Finished();
  Status AckFiles(Batch* batch, sdk::Outcomes outcomes);
  Status AckRows(Batch* batch, sdk::Outcomes outcomes);
  void Progress(Stream* stream);

  const SourceConfig config_;
  const sdk::Host host_;
  const sdk::Metric bad_records_;
  DoneLog done_;
  Inbox inbox_;
  Finisher finisher_;
  Watcher watcher_;
  // Read's thread only.
  bool loaded_ = false;
  Time next_scan_ = {};
  uint64_t next_lane_ = 1, next_ack_ = 1;
  std::shared_ptr<Stream> current_;
  std::vector<std::shared_ptr<Stream>> unclosed_;  // ended and acked, but not yet finished with

  std::mutex mutex_;
  std::map<uint64_t, Batch> batches_;                 // guarded by mutex_
  std::map<uint64_t, std::shared_ptr<Stream>> open_;  // by lane; guarded by mutex_
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_SOURCE_H_
