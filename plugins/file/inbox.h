// The directory that a source reads: which files are in it, which of them are complete, and which
// are being read. Thread-safe; the current time is handed in.
#ifndef MFN_PLUGINS_FILE_INBOX_H_
#define MFN_PLUGINS_FILE_INBOX_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "plugins/file/config.h"
#include "plugins/file/done_log.h"
#include "plugins/file/fs.h"

namespace mfn::file {

using Time = std::chrono::steady_clock::time_point;

// A file to read.
struct Job {
  std::string name;
  Identity file;
  std::set<uint64_t> only;  // the records to give again, from 1; empty: all
  bool failed = false;      // a part of it could not be given
};

class Inbox {
 public:
  // Both are borrowed.
  Inbox(const SourceConfig* config, const DoneLog* done) : config_(*config), done_(*done) {}

  // Finds out what `path` is. NOT_FOUND if nothing is there. Not beside the other functions.
  Status Open();
  const std::string& directory() const { return directory_; }  // absolute, without links

  // Lists the directory: a new file has to keep its size and time for settle_ms, unless it is old.
  Status Scan(Time now);
  // The writer of the file has closed it or moved it in.
  void Complete(const std::string& name);
  // Looks at the files that are due: settled ones and those to be given again.
  void Promote(Time now);
  // When Promote has something to do; Time::max() if nothing waits.
  Time NextDue() const;

  // The next complete file; it is then held until Release or Again.
  bool Pop(Job* job);
  // Done with it. A file that changed in the meantime is a new one.
  void Release(const std::string& name);
  // It is to be read again, not before `due`.
  void Again(Job job, Time due);
  // Nothing is waiting or held.
  bool Idle() const;

 private:
  enum class Phase { kSettling, kReady, kHeld, kAgain };
  struct Entry {
    Phase phase = Phase::kSettling;
    Job job;
    Time due;              // kSettling, kAgain
    bool changed = false;  // kHeld: completed anew in the meantime
  };
  bool Wanted(const std::string& name) const;
  bool Look(const std::string& name, Job* job) const;  // there, regular, not done
  void MakeReady(Entry* entry);                        // requires mutex_

  const SourceConfig& config_;
  const DoneLog& done_;
  std::string directory_;
  std::string pattern_;
  bool exact_ = false;  // pattern_ is the one file's name

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, Entry> entries_;
  std::set<std::string>
      waiting_;  // names in phase kSettling or kAgain: few, however many are ready
  std::deque<std::string> ready_;
};

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_INBOX_H_
